"""Recordings and made speech: read, aligned, checked, and turned into features."""
