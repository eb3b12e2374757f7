"""What all tests share: Hypothesis without deadlines, since a loaded machine is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("pynna", deadline=None, max_examples=60)
settings.load_profile("pynna")
