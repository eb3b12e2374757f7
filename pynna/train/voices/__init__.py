# SPDX-License-Identifier: Apache-2.0
"""Free speech synthesisers, and accents."""
