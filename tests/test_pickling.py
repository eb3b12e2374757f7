# SPDX-License-Identifier: Apache-2.0
"""What can be pickled, copied and handed to another process."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.nna_models import load_random

import pynna
from pynna import errors
from pynna.model import DEFAULT_MODEL

PCM = np.zeros(8000, np.int16)


def labels_of(model: pynna.Model) -> tuple[str, ...]:
    return model.labels


def test_models_grammars_options_results() -> None:
    model = pynna.load()
    again = pickle.loads(pickle.dumps(model))
    assert (again.path, again.labels, again.threads) == (model.path, model.labels, model.threads)
    assert copy.deepcopy(model) is copy.copy(model) is model
    grammar = pynna.Grammar.from_sentences(["open the window", "close the window"])
    for options in (model.decoder_options(grammar=grammar), model.decoder_options(hot_words={"tesla": 6.0})):
        for other in (pickle.loads(pickle.dumps(options)), copy.deepcopy(options)):
            assert (other.beam_width, other.hot_words) == (options.beam_width, options.hot_words)
    for result in (model.transcribe(PCM, passes=1), model.transcribe(PCM, grammar=grammar, passes=1)):
        for same in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
            assert same.as_dict() == result.as_dict()


def test_a_model_for_another_process() -> None:
    model = pynna.load()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(labels_of, (model,)) == model.labels


def test_a_file_that_is_another_one_by_now(tmp_path: Path) -> None:
    path = tmp_path / "mine.nna"
    shutil.copy(DEFAULT_MODEL, path)
    pickled = pickle.dumps(pynna.load(path, threads=1))
    shutil.copy(load_random(tmp_path, 48).path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
    with pytest.raises(errors.ModelFileError, match="another one by now"):
        pickle.loads(pickled)


def test_what_cannot_be() -> None:
    model = pynna.load()
    for thing in (model.stream(), model.listen(), model.group()):
        for attempt in (pickle.dumps, copy.deepcopy):
            with pytest.raises(errors.StateError, match="begin a new one"):
                attempt(thing)
