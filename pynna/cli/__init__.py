"""The command ``pynna``."""
