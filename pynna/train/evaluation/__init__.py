# SPDX-License-Identifier: Apache-2.0
"""Accuracy, calibration, and the model's metadata."""
