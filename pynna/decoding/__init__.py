# SPDX-License-Identifier: Apache-2.0
"""From log-probabilities to text: options, decoders, language models, results."""
