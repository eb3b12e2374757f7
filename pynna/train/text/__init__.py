# SPDX-License-Identifier: Apache-2.0
"""Sentences to speak, and what language models learn from."""
