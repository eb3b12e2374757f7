# SPDX-License-Identifier: Apache-2.0
"""Sentence files: how long they take to compile, how large they are, and what a search over them costs.

Besides the file that ships, some are made up: `--templates` sentence templates over lists of `--values` entries each,
which stand at the templates' ends, or in their midst, or at their beginnings, or two to a sentence. Compiling is all
between the YAML text and the graph that a search takes. Home Assistant's own English sentences are there, too, with the
names of a home of 200 entities in 20 areas (they need pynna[assistant]).

The search hears what the network says of the recordings that ship, a frame at a time. It is timed utterance by
utterance, as a listener runs it: a search made for each, asked for its partial result five times a second and for the
result at the end. Then in one stream without a pause, `--minutes` long, each tenth of it by itself; the grammar has
filler there, so that command follows command.
"""

from __future__ import annotations

import argparse
import io
import itertools
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pynna
from bench.report import Table, emit, machine_line
from pynna import Decoder, DecoderOptions, Grammar
from pynna.assistant.home_assistant import Entity, Home

Array = NDArray[Any]

PLACES = {
    "lists at the ends": "{verb} [the] {{one}} [please]",
    "lists in their midst": "[please] {verb} {{one}} (now|today|tomorrow)",
    "lists at the beginnings": "{{one}} {verb} [please]",
    "two lists a sentence": "{verb} {{one}} (for|with) {{two}}",
}
ASKED_EVERY = 10  # frames between two looks at the partial result


def names(n: int, seed: int) -> list[str]:
    """Made-up names of one or two words."""
    rng = random.Random(seed)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    found: dict[str, None] = {}
    while len(found) < n:
        found[" ".join("".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(rng.randint(1, 2)))] = None
    return list(found)


def sentence_file(n_templates: int, n_values: int, place: str) -> str:
    """A sentence file in YAML, `place` one of PLACES."""
    rows = ["intents:"]
    for i, verb in enumerate(names(n_templates, 1)):
        rows += [f"  Intent{i}:", "    data:", f"      - sentences: ['{PLACES[place].format(verb=verb)}']"]
    rows.append("lists:")
    for seed, name in enumerate(("one", "two"), 2):
        rows += [f"  {name}:", "    values:", *(f"      - {value}" for value in names(n_values, seed))]
    return "\n".join(rows) + "\n"


def home(n_areas: int = 20) -> Home:
    """A home with ten entities in each area."""
    things = {"light.ceiling": "ceiling light", "light.desk": "desk lamp", "light.wall": "wall lamp",
              "switch.heater": "heater", "fan.fan": "fan", "cover.blinds": "blinds", "lock.door": "door",
              "climate.thermostat": "thermostat", "media_player.tv": "speaker",
              "sensor.warmth": "thermometer"}  # fmt: skip
    areas = names(n_areas, 4)
    entities = [Entity(f"{key}_{i}", (f"{area} {thing}",), area) for i, area in enumerate(areas)
                for key, thing in things.items()]  # fmt: skip
    floors = (("ground floor",), ("first floor",))
    return Home("en", tuple(entities), tuple((area,) for area in areas), floors)


def compiled(text: str | Home, labels: Sequence[str]) -> tuple[Grammar, float, float]:
    """The grammar, and seconds that reading and compiling it took."""
    start = time.perf_counter()
    grammar = text.grammar() if isinstance(text, Home) else Grammar.from_yaml(io.StringIO(text))
    read = time.perf_counter() - start
    grammar.graph(labels)
    return grammar, read, time.perf_counter() - start - read


def utterances(model: pynna.Model, rows: Sequence[Array], rounds: int, **options: Any) -> float:
    """Seconds a frame of a decoder an utterance, its making and its end included: the sum of each one's least time."""
    best = np.full(len(rows), np.inf)
    for _, (i, part) in itertools.product(range(rounds), enumerate(rows)):
        start = time.perf_counter()
        decoder = _decoder(model, **options)
        for k, row in enumerate(part):
            decoder.core.feed(row[None])
            if k % ASKED_EVERY == 0:
                str(decoder.result())
        str(decoder.finish())
        best[i] = min(best[i], time.perf_counter() - start)
    return float(best.sum()) / sum(map(len, rows))


def tenths(model: pynna.Model, rows: Sequence[Array], minutes: float, rounds: int, **options: Any) -> list[float]:
    """Seconds a frame in each tenth of one stream, the least of some rounds."""
    frames = [row[None] for part in rows for row in part]
    n = max(1, round(6 * minutes / model.seconds_per_step))
    best = np.full(10, np.inf)
    for _ in range(rounds):
        decoder, endless = _decoder(model, **options), itertools.cycle(frames)
        for i in range(10):
            start = time.perf_counter()
            for row in itertools.islice(endless, n):
                decoder.core.feed(row)
            best[i] = min(best[i], (time.perf_counter() - start) / n)
    return [float(value) for value in best]


def _decoder(model: pynna.Model, **options: Any) -> Decoder:
    return Decoder(model.labels, label_priors=model.label_priors, options=DecoderOptions(**options))


# ---- the command ---------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="YAML", help="sentence files of one's own, besides")
    parser.add_argument("--model", type=Path, metavar="NNA", help="a mapped model; the one that ships unless given")
    parser.add_argument("--templates", type=int, default=200, help="sentence templates of those made up (200)")
    parser.add_argument("--values", type=int, default=1000, help="entries of each of their lists (1000)")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the stream (10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed (3)")


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    model = pynna.load(arguments.model)
    recordings = sorted((Path(pynna.__file__).parent / "recordings").glob("*.flac"))
    rows = [model.log_probs(path) for path in recordings]
    texts: dict[str, str | Home] = {
        path.name: path.read_text("utf-8") for path in (Path(pynna.CAR_GRAMMAR), *arguments.files)
    }
    texts["Home Assistant, 200 entities, 20 areas"] = home()
    for place in PLACES:
        name = f"{arguments.templates} templates, {place}"
        texts[name] = sentence_file(arguments.templates, arguments.values, place)
    best = dict.fromkeys(texts, (np.inf, np.inf))
    grammars: dict[str, Grammar | None] = {}
    for _ in range(arguments.rounds):
        for name, text in texts.items():
            grammars[name], read, made = compiled(text, model.labels)
            best[name] = min(best[name][0], read), min(best[name][1], made)
    grammars["no grammar, beam 64"] = None
    compiling = Table("sentence file", "reading, s", "compiling, s", "states", "arcs", "graph, MB")
    searching = Table(
        "search", "us a frame", "% of a core, live", "one stream: first tenth, us", "last tenth, us", "slowest"
    )
    values = []
    for name, grammar in grammars.items():
        options = {"grammar": grammar} if grammar else {}
        spent = utterances(model, rows, arguments.rounds, **options)
        if grammar:
            options["grammar"] = grammar.with_filler()
        parts = tenths(model, rows, arguments.minutes, arguments.rounds, **options)
        share = spent / model.seconds_per_step
        value = {"search": name, "seconds_a_frame": spent, "share_of_a_core": share, "tenths_seconds_a_frame": parts}
        searching.add(
            name,
            f"{1e6 * spent:.1f}",
            f"{100 * share:.3f}",
            *(f"{1e6 * part:.1f}" for part in (parts[0], parts[-1], max(parts))),
        )
        if grammar:
            graph, (read, made) = grammar.graph(model.labels), best[name]
            value |= {
                "reading_seconds": read,
                "compiling_seconds": made,
                "states": graph.n_states,
                "arcs": graph.n_arcs,
                "bytes": graph.n_bytes,
            }
            compiling.add(
                name, f"{read:.2f}", f"{made:.2f}", f"{graph.n_states}", f"{graph.n_arcs}", f"{graph.n_bytes / 1e6:.2f}"
            )
        values.append(value)
    emit(arguments, {"minutes": arguments.minutes, "searches": values}, machine_line(), compiling, searching)
    return 0
