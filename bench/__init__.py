"""How fast pynna is on this machine, and whether it says what DeepSpeech says. ``python -m bench --help`` tells more.

The C core is built by its own Makefile and reached through cffi; what is timed is timed in C (driver.c).
"""
