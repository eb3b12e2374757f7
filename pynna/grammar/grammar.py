"""`Grammar`: sentence files in, a graph for the search out, and text back to intent and slots."""

from __future__ import annotations

import contextlib
import math
import os
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pynna import _core
from pynna.errors import GrammarError, StateError, reading

from . import jsgf, yaml_file
from .automaton import Automaton, Builder
from .expression import Expression, Text, has_wildcard, is_free, plain
from .sentences import Scope, where
from .spoken import normalise

CAR_GRAMMAR = Path(__file__).parent / "data" / "car.yaml"
"""The sentence file of a car's assistant; an example to start from."""

FEW_STATES, MAX_STATES = 1 << 16, 2_000_000
"""Room for a grammar's states while it is put together: at first, and at most."""

__all__ = ["CAR_GRAMMAR", "Grammar", "Match", "Sentence"]


@dataclass(frozen=True)
class Template:
    """One sentence template: what it looks like, what it means, what is answered."""

    intent: str
    expression: Expression
    slots: Mapping[str, Any] = field(default_factory=dict)
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """What a sentence means.

    Attributes
    ----------
    intent : str
    slots : dict of str to value
    text : str
        The sentence, without wake word and filler.
    reply : str
        The answer of the file, its ``{slot}`` places filled; empty if it has none.
    """

    intent: str
    slots: dict[str, Any]
    text: str
    reply: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence drawn from a grammar, and what it means."""

    text: str
    intent: str
    slots: dict[str, Any]


class Grammar:
    """The sentences that may be said; immutable. Made by ``from_yaml``, ``from_jsgf`` or ``from_sentences``.

    Attributes
    ----------
    intents : tuple of str
        In the file's order.
    lists : dict of str to list
        The file's lists and their values, wildcards and ranges left out.
    """

    def __init__(
        self,
        templates: Sequence[Template],
        *,
        source: Mapping[str, Any] | None = None,
        file: str = "",
        wake_words: Sequence[str] = (),
        wake_word_required: bool = False,
        filler: tuple[bool, bool] = (False, False),
    ) -> None:
        if not templates:
            raise GrammarError(
                f"{file}: there is no sentence in the grammar" if file else "there is no sentence in the grammar"
            )
        self._templates = tuple(templates)
        self._order = sorted(self._templates, key=lambda t: has_wildcard(t.expression))  # stable
        self._source, self._file = source, file
        self._wake_words = tuple(normalise(word).strip() for word in wake_words)
        if not all(self._wake_words):
            raise GrammarError("a wake word is empty")
        self._wake_word_required, self._filler = wake_word_required, filler
        self._automata: dict[tuple[str, ...], Automaton] = {}
        self._graphs: dict[tuple[str, ...], _core.Graph] = {}
        self._sizes: dict[tuple[str, ...], float] = {}

    @property
    def has_free_slots(self) -> bool:
        """Whether some slot takes whatever is said: a wildcard's."""
        return has_wildcard(self._order[-1].expression)

    # ---- where it comes from --------------------------------------------------------------------------------------

    @classmethod
    def from_yaml(cls, file: str | os.PathLike[str] | IO[str]) -> Grammar:
        """Reads a sentence file in Home Assistant's template language.

        Parameters
        ----------
        file : path, or an open text file
            ``intents`` (each with ``data``: lists of ``sentences``, optional ``slots`` and ``response``), ``lists``,
            ``expansion_rules``, ``responses`` (an intent's reply, or a reply for each ``response`` key).

        Raises
        ------
        GrammarError
            The file is no YAML, a template, list or rule is wrong or missing; file, line and word are told.
        OSError
            The file cannot be read.
        """
        text, name = _read(file)
        return cls._from_document(yaml_file.load(text, name), name)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], name: str = "") -> Grammar:
        """The same, of what a YAML file would hold."""
        return cls._from_document(document, name)

    @classmethod
    def from_jsgf(cls, file: str | os.PathLike[str] | IO[str]) -> Grammar:
        """Reads a grammar in the JSpeech Grammar Format (W3C note of 2000), version 1.0.

        Each public rule is an intent; a tag in braces, ``{name=value}`` or ``{value}``, fills a slot (``tag`` if it has
        no name). ``*`` and ``+`` repeat up to four times. Weights are not used; imports are refused.

        Raises
        ------
        GrammarError
            The file is no such grammar; file, line and word are told. OSError: it cannot be read.
        """
        text, name = _read(file)
        return cls([Template(intent, expression) for intent, expression in jsgf.parse(text, name)], file=name)

    @classmethod
    def from_sentences(cls, sentences: Iterable[str]) -> Grammar:
        """A grammar of plain sentences; the intent of each is the sentence itself, normalised."""
        texts = dict.fromkeys(normalise(sentence).strip() for sentence in sentences)
        texts.pop("", None)
        return cls([Template(text, Text(text)) for text in texts])

    @classmethod
    def _from_document(cls, document: Any, file: str) -> Grammar:
        if not isinstance(document, Mapping) or not isinstance(document.get("intents"), Mapping):
            raise GrammarError(f"{file}: there are no `intents:`; a sentence file has intents with sentences")
        scope = Scope(file, _section(document, "lists", file), _section(document, "expansion_rules", file))
        responses = _responses(document, file)
        templates = [
            template
            for intent, spec in document["intents"].items()
            for template in _intent(str(intent), spec, scope, responses, where(intent, file))
        ]
        return cls(templates, source=document, file=file)

    def with_lists(self, lists: Mapping[str, Iterable[Any]]) -> Grammar:
        """The grammar with other values in some of its lists; running streams keep what they have.

        Parameters
        ----------
        lists : dict of str to iterable
            For each list its values: texts, or pairs (spoken text, what it stands for).

        Raises
        ------
        GrammarError
            A list that the file does not have, or an empty one.
        """
        if self._source is None:
            raise GrammarError("the grammar was not made from a file with lists")
        known = _section(self._source, "lists", self._file)
        for name in lists:
            if name not in known:
                raise GrammarError(f"the grammar has no list {name!r}; it has {', '.join(known) or 'none'}")
        replaced = {name: {"values": [_value(value) for value in values]} for name, values in lists.items()}
        made = Grammar._from_document({**self._source, "lists": {**known, **replaced}}, self._file)
        return self._with(templates=made._templates, source=made._source)

    def with_wake_words(self, wake_words: Iterable[str], required: bool = True) -> Grammar:
        """The grammar with one of these words before each sentence: always, or if it is said."""
        return self._with(wake_words=tuple(wake_words), wake_word_required=required)

    def with_filler(self, before: bool = True, after: bool = True) -> Grammar:
        """The grammar with free speech allowed before and after a sentence."""
        return self._with(filler=(before, after))

    def _with(self, **changes: Any) -> Grammar:
        """The grammar with some of what it was made of changed."""
        made_of = {"templates": self._templates, "source": self._source, "file": self._file,
                   "wake_words": self._wake_words, "wake_word_required": self._wake_word_required,
                   "filler": self._filler}
        return Grammar(**{**made_of, **changes})

    # ---- what it is ------------------------------------------------------------------------------------------------

    @property
    def intents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(template.intent for template in self._templates))

    @property
    def lists(self) -> dict[str, list[Any]]:
        if self._source is None:
            return {}
        found = {}
        for name, spec in _section(self._source, "lists", self._file).items():
            values = spec.get("values") if isinstance(spec, Mapping) else spec
            if isinstance(values, list):
                found[str(name)] = [v.get("out", v.get("in")) if isinstance(v, Mapping) else v for v in values]
        return found

    def automaton(self, labels: Sequence[str]) -> Automaton:
        """The minimal deterministic automaton over a network's labels.

        Parameters
        ----------
        labels : sequence of str
            The labels' texts, the blank's (the last) empty.

        Raises
        ------
        GrammarError
            A letter that the labels lack, or more than two million states on the way to the automaton.
        """
        key = tuple(labels)
        if key not in self._automata:
            self._automata[key] = self._compile(key)
        return self._automata[key]

    def graph(self, labels: Sequence[str]) -> _core.Graph:
        """The automaton as the search takes it; made once."""
        key = tuple(labels)
        if key not in self._graphs:
            a = self.automaton(key)
            self.size(key)  # now, rather than while a stream waits for its first confidence
            self._graphs[key] = _core.Graph(a.first_arc, a.arc_label, a.arc_next, a.is_final, a.start, len(key))
        return self._graphs[key]

    def size(self, labels: Sequence[str]) -> float:
        """Natural logarithm of the number of its sentences, free speech as one; counted once."""
        key = tuple(labels)
        if key not in self._sizes:
            self._sizes[key] = math.log(max(1, self.automaton(key).n_sentences()))
        return self._sizes[key]

    def _compile(self, labels: tuple[str, ...]) -> Automaton:
        alphabet = {text: i for i, text in enumerate(labels) if text}
        for max_states in (FEW_STATES, MAX_STATES):
            with contextlib.suppress(StateError):  # no room for it: again, with more
                automaton = self._build(Builder(alphabet, max_states))
                break
        else:
            raise GrammarError(
                f"{self._file or 'the grammar'}: it takes more than {MAX_STATES:,} states to put it together; split it "
                "or make its lists shorter: fewer lists at the beginnings of sentences help most"
            )
        if automaton.is_final[automaton.start]:
            raise GrammarError(f"{self._file}: a sentence may be empty: all of its parts are optional")
        return automaton

    def _build(self, builder: Builder) -> Automaton:
        end = builder.end
        if self._filler[1]:
            end = builder.union((end, builder.free(end)))
        start = builder.union(builder.build(template.expression, end) for template in self._templates)
        if self._wake_words:
            with_wake = [builder.text(word + " ", start) for word in self._wake_words]
            start = builder.union(with_wake if self._wake_word_required else [*with_wake, start])
        return builder.automaton(builder.union((start, builder.free(start))) if self._filler[0] else start)

    # ---- what it does ----------------------------------------------------------------------------------------------

    def parse(self, text: str) -> Match | None:
        """What a sentence means, or None if it is none of the grammar's.

        Where several templates fit, the first of the file counts, and one without free speech before one with it.

        Parameters
        ----------
        text : str
            As a network spells it, or as people write it. Free speech as a `Result` marks it.
        """
        sentence = " ".join(text.split()) if any(is_free(c) for c in text) else " ".join(normalise(text).split())
        sentence = self._strip(sentence)
        for template in self._order:
            for end, slots in template.expression.match(sentence, 0):
                if end == len(sentence):
                    merged = {**template.slots, **slots}
                    said = " ".join(plain(sentence).split())
                    return Match(template.intent, merged, said, _fill(template.reply, merged))
        return None

    def _strip(self, sentence: str) -> str:
        """Without filler and wake word."""
        if self._filler[0] and sentence and is_free(sentence[0]):
            sentence = sentence.lstrip("".join({c for c in sentence if is_free(c)}) + " ")
        if self._filler[1] and sentence and is_free(sentence[-1]):
            sentence = sentence.rstrip("".join({c for c in sentence if is_free(c)}) + " ")
        for word in sorted(self._wake_words, key=len, reverse=True):
            if sentence.startswith(word + " "):
                return sentence[len(word) + 1 :]
        return sentence

    def sample(self, rng: random.Random) -> Sentence:
        """One sentence at random: of a template at random, each choice in it at random."""
        while True:
            template = rng.choice(self._templates)
            slots = dict(template.slots)
            text = " ".join(template.expression.sample(rng, slots).split())
            if text:
                return Sentence(text, template.intent, slots)

    def examples(self) -> dict[str, str]:
        """A sentence of each intent, the shortest of a few; always the same ones."""
        rng = random.Random(0)
        found: dict[str, list[str]] = {}
        for template in self._templates:
            texts = (template.expression.sample(rng, {}) for _ in range(4))
            found.setdefault(template.intent, []).extend(" ".join(text.split()) for text in texts)
        return {intent: min(filter(None, texts), key=len, default="") for intent, texts in found.items()}

    def sentences(self, limit: int = 1000) -> Iterator[str]:
        """The first sentences in the order of the alphabet, at most `limit`; free speech as "..."."""
        letters = " abcdefghijklmnopqrstuvwxyz'"
        a = self.automaton((*letters, ""))
        stack = [(a.start, "")]
        while stack and limit > 0:
            state, text = stack.pop()
            if a.is_final[state]:
                yield text
                limit -= 1
            arcs = sorted(a.arcs(state).items(), reverse=True)
            stack += [(following, text + (letters[label] if label >= 0 else "...")) for label, following in arcs]

    def __repr__(self) -> str:
        return f"<pynna.Grammar {self._file or 'of sentences'}: {len(self.intents)} intents>"


def _read(file: str | os.PathLike[str] | IO[str]) -> tuple[str, str]:
    """A file's text and its name."""
    if isinstance(file, (str, os.PathLike)):
        try:
            with reading(file):
                return Path(file).read_text(encoding="utf-8"), os.fspath(file)
        except UnicodeDecodeError as error:
            raise GrammarError(f"{os.fspath(file)}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    return file.read(), str(getattr(file, "name", ""))


def _section(document: Mapping[str, Any], name: str, file: str) -> Mapping[str, Any]:
    section = document.get(name) or {}
    if not isinstance(section, Mapping):
        raise GrammarError(f"{file}: `{name}:` must hold names and what they stand for")
    return section


def _responses(document: Mapping[str, Any], file: str) -> Mapping[str, Any]:
    """Replies by intent: a text, or texts by key."""
    responses = _section(document, "responses", file)
    inner = responses.get("intents")
    return inner if isinstance(inner, Mapping) else responses


def _intent(name: str, spec: Any, scope: Scope, responses: Mapping[str, Any], at: str) -> Iterator[Template]:
    blocks = spec.get("data") if isinstance(spec, Mapping) else None
    if blocks is None and isinstance(spec, Mapping) and "sentences" in spec:
        blocks = [spec]
    if not isinstance(blocks, list) or not blocks:
        raise GrammarError(f"{at}intent {name!r} has no `data:` with `sentences:`")
    for block in blocks:
        sentences = block.get("sentences") if isinstance(block, Mapping) else None
        if not isinstance(sentences, list) or not sentences:
            raise GrammarError(f"{at}intent {name!r}: `sentences:` must be a list of sentence templates")
        wrong = [sentence for sentence in sentences if not isinstance(sentence, str)]
        if wrong:
            raise GrammarError(
                f"{at}intent {name!r}: {wrong[0]!r} among its `sentences:` is no text; in quotes it is one"
            )
        slots = block.get("slots") or {}
        if not isinstance(slots, Mapping):
            raise GrammarError(f"{at}intent {name!r}: `slots:` must hold names and values")
        inner = scope
        if "lists" in block or "expansion_rules" in block:
            inner = Scope(
                scope.file,
                _section(block, "lists", scope.file),
                _section(block, "expansion_rules", scope.file),
                scope,
            )
        reply = _reply(responses.get(name), block.get("response"), f"{at}intent {name!r}")
        for sentence in sentences:
            expression = inner.sentence(sentence)
            yield Template(name, expression, {str(k): _value_of(v) for k, v in slots.items()}, reply)


def _reply(of_intent: Any, key: Any, what: str) -> str:
    """The reply's text: by its key, the intent's default, or the key itself as a text."""
    if isinstance(of_intent, Mapping):
        found = of_intent.get(key if key is not None else "default", key)
    else:
        found = of_intent if key is None else key
    if isinstance(found, (list, Mapping)):
        raise GrammarError(f"{what}: its reply must be a text, not {found!r}")
    return "" if found is None else str(found)


def _fill(reply: str, slots: Mapping[str, Any]) -> str:
    """A reply with its {slot} places filled; a slot that was not said leaves nothing."""
    text = re.sub(r"\{\{?\s*(?:slots\.)?(\w+)\s*\}?\}", lambda m: str(slots.get(m.group(1), "")), reply)
    return " ".join(text.split())


def _value(value: Any) -> Any:
    if isinstance(value, tuple):
        spoken, out = value
        return {"in": spoken, "out": out}
    return value


def _value_of(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value
