# SPDX-License-Identifier: Apache-2.0
"""Hot words are taken as people write them."""

from __future__ import annotations

import numpy as np
import pytest

from pynna.decoding.hot_words import HotWords

LABELS = (*" abcdefghijklmnopqrstuvwxyz'", "")


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("Tesla", "tesla"), ("model 3", "model three"), ("CO₂", "c o two"), ("Café", "cafe"), ("Don’t", "don't"),
        ("AC unit", "a c unit"), ("  rain   light ", "rain light"), ("21st floor", "twenty first floor"),
    ],
)  # fmt: skip
def test_hot_words_count_as_the_model_spells_them(written, spelled):
    made, known = HotWords({written: 6.0}, LABELS), HotWords({spelled: 6.0}, LABELS)
    assert np.array_equal(made.next, known.next) and np.allclose(made.bonus, known.bonus)
