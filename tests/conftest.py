# SPDX-License-Identifier: Apache-2.0
"""What tests share: Hypothesis without deadlines, since a loaded machine is no failure, and with the same examples each
time; the model and the car."""

from __future__ import annotations

import pytest
from hypothesis import settings

import pynna

settings.register_profile("pynna", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("pynna")


@pytest.fixture(scope="session")
def model() -> pynna.Model:
    """The model that ships."""
    return pynna.load()


@pytest.fixture(scope="session")
def car() -> pynna.Grammar:
    """The car's sentence file."""
    return pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
