# SPDX-License-Identifier: Apache-2.0
"""From audio to results as it comes in: channels, streams, listeners, rescoring."""
