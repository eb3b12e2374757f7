# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of plain values: structures of others' making, in which any part may be missing, twice, or another."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import random
from functools import cache
from typing import Any

import pynna
from tests.fuzz import seeds
from tests.fuzz.registry import Finding, target
from tests.fuzz.targets import in_memory, use

_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 10**30, 0.5, float("nan"), float("inf"), "", " ", "a", "é", "\ud800", "[a|b] {c}", "<a>", "(((",
    "{{ 1/0 }}", "{% for i in range(9) %}x{% endfor %}", b"a", [], {}, [[]], {"a": {}}, {1: 2}, ("a", "b", {}),
    {None: []}, "x" * 3000,
)  # fmt: skip


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """All that is in a structure, as (what it is in, its key there)."""
    found: list[tuple[Any, Any]] = []
    inside = [tree]
    for each in inside:
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        found += [(each, key) for key in keys]
        inside += [each[key] for key in keys if isinstance(each[key], (dict, list))]
    return found


def changed(tree: Any, data: bytes) -> Any:
    """A structure in which some parts are others; the same ones for the same bytes."""
    rng, tree = random.Random(data), copy.deepcopy({"": tree})
    for _ in range(rng.choice((1, 1, 2, 5))):
        places = _places(tree)
        inside, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0 and inside is not tree:
            del inside[key]
        elif kind == 1 and isinstance(inside, dict) and inside is not tree:
            odd = rng.choice(_ODD)
            inside[odd if odd.__hash__ and not isinstance(odd, tuple) else "a"] = inside.pop(key)
        elif kind == 2 and isinstance(inside[key], list):
            inside[key] = inside[key] * 2 + [copy.deepcopy(rng.choice(_ODD))]
        elif kind == 3:
            other, from_key = rng.choice(places)
            inside[key] = copy.deepcopy(other.get(from_key) if isinstance(other, dict) else other[from_key:][:1])
        else:
            inside[key] = copy.deepcopy(rng.choice(_ODD))
    return tree[""]


def _numbers() -> list[bytes]:
    """From which `changed` draws: any bytes do."""
    return [bytes([i]) * 8 for i in range(8)]


@target(_numbers)
def _dict(data: bytes) -> None:
    """A sentence file of Home Assistant's kind as plain values, with lists and a context from outside."""
    given = changed(
        [seeds.SENTENCES, {"name": ["lamp", ("the fan", "fan", {"domain": "fan"})]}, {"area": "kitchen"}], data
    )
    document, lists, context = (*(given if isinstance(given, list) else [given]), None, None, None)[:3]
    grammar = pynna.Grammar.from_dict(document, lists=lists, context=context)  # type: ignore[arg-type]
    use(grammar)
    for text in ("turn the kitchen on", "say hello now", "set living room to ten"):
        if (found := grammar.parse(text)) is not None:
            json.dumps(str(found))


_HOME = {
    "get_config": {"language": "en"},
    "homeassistant/expose_entity/list": {"exposed_entities": {"light.a": {"conversation": True}, "fan.b": {}}},
    "get_states": [{"entity_id": "light.a", "attributes": {"friendly_name": "Lamp", "device_class": "x"}}],
    "config/entity_registry/get_entries": {"light.a": {"name": "a", "aliases": ["the lamp"], "area_id": "kitchen"}},
    "config/area_registry/list": [{"name": "Kitchen", "aliases": ["cook room"]}],
    "config/floor_registry/list": [{"name": "First floor", "aliases": []}],
    "conversation/sentences/list": {"trigger_sentences": ["party [time]"]},
}


@target(_numbers)
def _home(data: bytes) -> None:
    """What a home tells of itself: names of anyone's choice, answers that are none."""
    from pynna.assistant.home_assistant import Home, HomeAssistant

    class Asked(HomeAssistant):
        async def ask(self, kind: str, **_: Any) -> Any:
            return answers.get(kind) if isinstance(answers, dict) else answers

    answers = changed(_HOME, data)
    loop = _loop()
    home = loop.run_until_complete(Asked("http://a", "b").home())
    home.fingerprint()
    known = Home("xx", home.entities, home.areas, home.floors, home.sentences)  # without the sentences of a language
    use(known.grammar({"intents": {"A": {"data": [{"sentences": ["turn on {name} [in {area}] [on {floor}]"]}]}}}))


@target(_numbers)
def _addon(data: bytes) -> None:
    """An add-on's options: `pynna serve` takes what becomes of them, each as what it was."""
    from pynna.assistant import supervised
    from pynna.cli.main import _parser

    asked = changed({"names": False, "sentences": ["car"], "wake_words": ["hey", "--model"], "model": "a.nna"}, data)
    path = in_memory() / "options.json"
    path.write_text(json.dumps(asked, skipkeys=True, default=str))
    options = supervised.read_options(path)
    told = ["serve", *supervised.arguments(options)]
    taken = _parser(told).parse_args(told)
    given = [text for text in options.get("wake_words", ()) if text.strip()]
    if (taken.wake_word or []) != given:
        raise Finding(f"{given} became {taken.wake_word}")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _journals() -> list[bytes]:
    about = {"about": {"path": "/a"}}
    parts = [{"part": i, "seconds": 1.0, "segments": [{"text": "a", "start": 0.0, "words": []}]} for i in range(2)]
    return ["".join(json.dumps(line) + "\n" for line in (about, *parts)).encode(),
            json.dumps({"output": "a.txt", "about": {"path": "/a"}}).encode() + b"\n{}\n",
            json.dumps({"model": "a", "options": {}}).encode()]  # fmt: skip


@target(_journals, b'{"part": 1', b'"segments": ', b"null", b"\n", b"\n[]\n", b'"seconds": "a"', b"NaN")
def _journal(data: bytes) -> None:
    """What a run that was killed has left, as parts of a recording, as its list and as its settings."""
    from pynna.archive.journal import DONE, FOLDER, RUN, Journal, Parts

    folder = in_memory() / "journal"
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for name in ("a.parts", DONE, RUN):
        for each in (folder / FOLDER).iterdir():
            each.unlink()
        path = folder / FOLDER / name
        path.write_bytes(data)
        with contextlib.suppress(pynna.PynnaError):
            if name == "a.parts":
                _take_up_parts(Parts(path, {"path": "/a"}))
            else:
                _take_up(folder, Journal)


def _take_up_parts(parts: Any) -> None:
    try:
        parts.add(max(parts.indices, default=0) + 1, 1.0, [{"text": "b"}])
        told = list(parts.segments())
        if not told or told[-1] != {"text": "b"}:
            raise Finding(f"the part that was added last is not there: {told!r:.100}")
    finally:
        parts.close()


def _take_up(folder: Any, journal: Any) -> None:
    taken = journal(folder, {"model": "a", "options": {}}, resume=True)
    try:
        taken.is_done("/a", folder / "a.txt")
    finally:
        taken.close()


@target(lambda: [b"a\n# comment\n\\#\nb\n\0--audio_sample_rate=8000\n", b" \n'\n\0" + b'{"feature_win_len": 32}'],
        b"\0", b"--feature_win_step=20\n", b"1e999", b"\\\\#", b"\xef\xbb\xbf", b"\r\n")  # fmt: skip
def _beside(data: bytes) -> None:
    """The alphabet and the flags beside a checkpoint, and an alphabet that is told."""
    from pynna.mapping.importers import load_weights
    from pynna.mapping.mapper import read_labels

    folder = in_memory() / "beside"
    folder.mkdir(exist_ok=True)
    index = folder / "best.index"
    if not index.exists():
        seeds.small_checkpoint(folder)
    alphabet, _, flags = data.partition(b"\0")
    (folder / "alphabet.txt").write_bytes(alphabet)
    (folder / "flags.txt").write_bytes(flags)
    with contextlib.suppress(pynna.PynnaError):
        load_weights(index)
    read_labels(folder / "alphabet.txt")
