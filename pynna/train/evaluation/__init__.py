"""Accuracy, calibration, and the model's metadata."""
