# SPDX-License-Identifier: Apache-2.0
"""Recordings and made speech: read, aligned, checked, and turned into features."""
