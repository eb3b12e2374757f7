# SPDX-License-Identifier: Apache-2.0
"""`Grammar`: sentence files in, a graph for the search out, and text back to intent and slots."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from pynna import _core
from pynna.errors import GrammarError, StateError, several_texts

from . import jsgf, rhino, sentence_file, sentences_ini
from .automaton import Automaton, Builder
from .expression import NOTHING, Capture, Expression, Text, has_loop, has_wildcard, is_filler, plain
from .loops import LoopBuilder
from .normalise import normalise
from .parsing import Parser
from .sentence_file import SentenceFile, Template, read_text
from .speakable import Speakable

CAR_GRAMMAR = Path(__file__).parent / "data" / "car.yaml"
"""The sentence file of a car's assistant; an example to start from."""

FEW_STATES, MAX_STATES = 1 << 16, 2_000_000
"""Room for a grammar's states while it is put together: at first, and at most."""

MAX_SKIPPED = 2
"""Skip words before a sentence, and after it, that a graph takes."""

Source = str | os.PathLike[str] | IO[str]
__all__ = ["CAR_GRAMMAR", "Grammar", "Match", "Sentence"]


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
    metadata : dict or None
        What the file's block of sentences says under ``metadata``.
    """

    intent: str
    slots: dict[str, Any]
    text: str
    reply: str
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence drawn from a grammar, and what it means."""

    text: str
    intent: str
    slots: dict[str, Any]


@dataclass(frozen=True)
class _Around:
    """What may stand around a sentence, and what is known while it is said."""

    wake_words: tuple[str, ...] = ()
    wake_word_required: bool = False
    filler: tuple[bool, bool] = (False, False)
    context: Mapping[str, Any] | None = None
    skip_unspeakable: bool = False


class Grammar:
    """The sentences that may be said; immutable.

    Made by ``from_file``, ``from_yaml``, ``from_jsgf``, ``from_ini``, ``from_rhino``, ``from_dict`` or
    ``from_sentences``.

    Attributes
    ----------
    intents : tuple of str
        In the file's order.
    lists : dict of str to list
        The file's lists and their values, wildcards and ranges left out.
    language : str
        Its language's code: how its numbers are said.
    notes : tuple of str
        What of the file has no effect, and why.
    """

    def __init__(self, of: SentenceFile, around: _Around = _Around()) -> None:
        self._templates = tuple(template for template in of.templates if template.expression is not NOTHING)
        if not self._templates:
            raise GrammarError(
                f"{of.file}: there is no sentence in the grammar" if of.file else "there is no sentence in the grammar"
            )
        self._of, self._around = of, around
        self.language, self.notes = of.language, of.notes
        self._parser = Parser(of.templates, of.skip_words, of.language, around.context)
        self._automata: dict[tuple[str, ...], Automaton] = {}
        self._graphs: dict[tuple[str, ...], _core.Graph] = {}
        self._sizes: dict[tuple[str, ...], float] = {}
        self._left_out: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_of": self._of, "_around": self._around}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_of"], state["_around"])  # type: ignore[misc]

    @functools.cached_property
    def has_free_slots(self) -> bool:
        """Whether some slot takes whatever is said: a wildcard's."""
        return any(has_wildcard(template.expression) for template in self._templates)

    # ---- where it comes from --------------------------------------------------------------------------------------

    @classmethod
    def from_file(cls, file: Source, *, skip_unspeakable: bool = False) -> Grammar:
        """Reads a sentence file of any kind, told by its name's ending or else by what it holds.

        ``.jsgf``, ``.gram`` and ``.grammar`` are JSGF, and so is what begins with ``#JSGF``; ``.ini`` and files of
        ``[sections]`` are Rhasspy's; YAML is Home Assistant's or, where it holds a ``context:``, Rhino's.

        Parameters
        ----------
        file : path of a file or folder, or an open text file
        skip_unspeakable : bool
            As for `from_yaml`.

        Raises
        ------
        GrammarError
            The file is wrong; file, line and word are told. OSError: it cannot be read.
        """
        kind, source = sentence_file.kind_of(file)
        readers = {"jsgf": cls.from_jsgf, "ini": cls.from_ini, "rhino": cls.from_rhino, "yaml": cls.from_yaml}
        return readers[kind](source, skip_unspeakable=skip_unspeakable)

    @classmethod
    def from_yaml(
        cls,
        file: Source | Sequence[Source],
        *,
        lists: Mapping[str, Iterable[Any]] | None = None,
        context: Mapping[str, Any] | None = None,
        language: str | None = None,
        skip_unspeakable: bool = False,
    ) -> Grammar:
        """Reads sentence files in Home Assistant's template language.

        Parameters
        ----------
        file : path of a file or folder, an open text file, or several of these
            ``intents`` (each with ``data``: lists of ``sentences``, optional ``slots``, ``response``,
            ``requires_context``, ...), ``lists``, ``expansion_rules``, ``skip_words``, ``responses`` (an intent's
            reply, or a reply for each ``response`` key). Several files are merged as Home Assistant does.
        lists : dict of str to iterable, optional
            More lists, or others: texts, tuples (spoken, what it stands for, context), or mappings as in a file. An
            empty one makes sentences impossible that need a value of it.
        context : dict, optional
            What is known from outside: the area of the microphone, for instance.
        language : str, optional
            Where the file does not tell its own; else English.
        skip_unspeakable : bool
            Leave values out that the model cannot spell, and tell them in `left_out`, rather than refuse the file.

        Raises
        ------
        GrammarError
            The file is no YAML, a template, list or rule is wrong or missing; file, line and word are told.
        OSError
            The file cannot be read.
        """
        document, name = sentence_file.load(file)
        return cls.from_dict(
            document, name, lists=lists, context=context, language=language, skip_unspeakable=skip_unspeakable
        )

    @classmethod
    def from_dict(
        cls,
        document: Mapping[str, Any],
        name: str = "",
        *,
        lists: Mapping[str, Iterable[Any]] | None = None,
        context: Mapping[str, Any] | None = None,
        language: str | None = None,
        skip_unspeakable: bool = False,
    ) -> Grammar:
        """The same as `from_yaml`, of what a YAML file would hold."""
        if lists and isinstance(document, Mapping):
            document = sentence_file.with_lists(document, lists, may_be_empty=True)
        of = sentence_file.compile_document(document, name, language, context)
        return cls(of, _Around(context=context, skip_unspeakable=skip_unspeakable))

    @classmethod
    def from_jsgf(cls, file: Source, *, skip_unspeakable: bool = False) -> Grammar:
        """Reads a grammar in the JSpeech Grammar Format (W3C note of 2000), version 1.0.

        Each public rule is an intent; a tag in braces, ``{name=value}`` or ``{value}``, fills a slot (``tag`` if it has
        no name). Weights are how often an alternative is drawn by `sample`; the search takes all alike.

        Raises
        ------
        GrammarError
            The file is no such grammar; file, line and word are told. OSError: it cannot be read.
        """
        text, name = read_text(file)
        folder = Path(name).parent if isinstance(file, (str, os.PathLike)) else None
        rules, language = jsgf.parse(text, name, folder)
        return cls._of_rules(rules, name, language, skip_unspeakable)

    @classmethod
    def from_ini(
        cls, file: Source, *, slots: Mapping[str, Iterable[str]] | None = None, skip_unspeakable: bool = False
    ) -> Grammar:
        """Reads sentences in Rhasspy's template language (``sentences.ini``).

        Sections are intents; ``$name`` is a slot's values: those of `slots`, or the lines of a file of that name in a
        folder ``slots`` beside the file.

        Raises
        ------
        GrammarError
            The file is no such file; file, line and word are told. OSError: it cannot be read.
        """
        text, name = read_text(file)
        folder = Path(name).parent / "slots" if isinstance(file, (str, os.PathLike)) else None
        return cls._of_rules(sentences_ini.parse(text, name, folder, slots or {}), name, "en", skip_unspeakable)

    @classmethod
    def from_rhino(cls, file: Source, *, skip_unspeakable: bool = False) -> Grammar:
        """Reads a context of Picovoice's Rhino in YAML: expressions, slots, macros.

        Raises
        ------
        GrammarError
            The file is no such file; file, line and word are told. OSError: it cannot be read.
        """
        document, name = sentence_file.load(file)
        return cls._of_rules(rhino.parse(document, name), name, "en", skip_unspeakable)

    @classmethod
    def from_sentences(cls, sentences: Iterable[str], language: str = "en") -> Grammar:
        """A grammar of plain sentences; the intent of each is the sentence itself, normalised."""
        texts = dict.fromkeys(normalise(each, language, None).strip() for each in several_texts(sentences, "sentences"))
        texts.pop("", None)
        return cls._of_rules([(text, Text(text)) for text in texts], "", language, False)

    @classmethod
    def _of_rules(
        cls, rules: Iterable[tuple[str, Expression]], name: str, language: str, skip_unspeakable: bool
    ) -> Grammar:
        templates = tuple(Template(intent, expression) for intent, expression in rules)
        return cls(SentenceFile(templates, {}, name, language, (), ()), _Around(skip_unspeakable=skip_unspeakable))

    def with_lists(self, lists: Mapping[str, Iterable[Any]]) -> Grammar:
        """The grammar with other values in some of its lists; running streams keep what they have.

        Parameters
        ----------
        lists : dict of str to iterable
            For each list its values: texts, pairs (spoken text, what it stands for), or mappings as in a file.

        Raises
        ------
        GrammarError
            A list that the file does not have, or an empty one.
        """
        if not self._of.document:
            raise GrammarError("the grammar was not made from a file with lists")
        known = sentence_file.section(self._of.document, "lists", self._of.file)
        for name in lists:
            if name not in known:
                raise GrammarError(f"the grammar has no list {name!r}; it has {', '.join(known) or 'none'}")
        document = sentence_file.with_lists(self._of.document, lists, may_be_empty=False)
        return self._made_of(document, self._around)

    def with_context(self, context: Mapping[str, Any]) -> Grammar:
        """The grammar where something is known from outside: ``{"area": "kitchen"}`` for a microphone there."""
        around = replace(self._around, context=dict(context))
        return self._made_of(self._of.document, around) if self._of.document else Grammar(self._of, around)

    def _made_of(self, document: Mapping[str, Any], around: _Around) -> Grammar:
        return Grammar(sentence_file.compile_document(document, self._of.file, self.language, around.context), around)

    def with_wake_words(self, wake_words: Iterable[str], required: bool = True) -> Grammar:
        """The grammar with one of these words before each sentence: always, or if it is said."""
        words = tuple(normalise(word, self.language, None).strip() for word in several_texts(wake_words, "wake_words"))
        if not all(words):
            raise GrammarError("a wake word is empty")
        return Grammar(self._of, replace(self._around, wake_words=words, wake_word_required=required))

    def with_filler(self, before: bool = True, after: bool = True) -> Grammar:
        """The grammar with the filler allowed before and after a sentence."""
        return Grammar(self._of, replace(self._around, filler=(before, after)))

    # ---- what it is ------------------------------------------------------------------------------------------------

    @property
    def intents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(template.intent for template in self._templates))

    @property
    def lists(self) -> dict[str, list[Any]]:
        found = {}
        for name, spec in sentence_file.section(self._of.document, "lists", self._of.file).items():
            values = spec.get("values") if isinstance(spec, Mapping) else spec
            if isinstance(values, list):
                found[str(name)] = [v.get("out", v.get("in")) if isinstance(v, Mapping) else v for v in values]
        return found

    def expressions(self) -> dict[str, list[Expression]]:
        """What may be said of each intent."""
        found: dict[str, list[Expression]] = {}
        for template in self._templates:
            found.setdefault(template.intent, []).append(template.expression)
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
            A letter that the labels lack, or too many states on the way to the automaton.
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
        """Natural logarithm of the number of its sentences, the filler as one; counted once."""
        key = tuple(labels)
        if key not in self._sizes:
            n_sentences = self.automaton(key).n_sentences()
            self._sizes[key] = math.log(max(1, n_sentences)) if n_sentences != math.inf else math.inf
        return self._sizes[key]

    def left_out(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The values that the labels cannot spell and that ``skip_unspeakable`` left out, by file and line."""
        self.automaton(labels)
        return self._left_out.get(tuple(labels), ())

    def _compile(self, labels: tuple[str, ...]) -> Automaton:
        alphabet = {text: i for i, text in enumerate(labels) if text}
        expressions = self._expressions(labels, frozenset(alphabet))
        if any(map(has_loop, expressions)):
            automaton = self._build(LoopBuilder(alphabet), expressions)
        else:
            automaton = self._compile_acyclic(alphabet, expressions)
        if automaton.is_final[automaton.start]:
            raise GrammarError(f"{self._of.file}: a sentence may be empty: all of its parts are optional")
        return automaton

    def _expressions(self, labels: tuple[str, ...], letters: frozenset[str]) -> list[Expression]:
        """The templates' expressions, without values that cannot be spelled where those are to be left out."""
        expressions = [template.expression for template in self._templates]
        if not self._around.skip_unspeakable:
            return expressions
        speakable = Speakable(letters)
        kept = [made for made in map(speakable, expressions) if made is not NOTHING]
        self._left_out[labels] = tuple(speakable.left_out)
        if not kept:
            raise GrammarError(f"{self._of.file}: the model's alphabet can spell none of its sentences")
        return kept

    def _compile_acyclic(self, alphabet: dict[str, int], expressions: list[Expression]) -> Automaton:
        for max_states in (FEW_STATES, MAX_STATES):
            with contextlib.suppress(StateError):  # no room for it: again, with more
                return self._build(Builder(alphabet, max_states), expressions)
        raise GrammarError(
            f"{self._of.file or 'the grammar'}: it takes more than {MAX_STATES:,} states to put it together; split it "
            "or make its lists shorter: fewer lists at the beginnings of sentences help most"
        )

    def _build(self, builder: Builder | LoopBuilder, expressions: list[Expression]) -> Automaton:
        around, skip_words = self._around, self._of.skip_words
        end = builder.end
        if around.filler[1]:
            end = builder.union((end, builder.filler(end)))
        for _ in range(MAX_SKIPPED if skip_words else 0):
            end = builder.union([end, *(builder.text(f" {word}", end) for word in skip_words)])
        start = builder.union(builder.build(expression, end) for expression in expressions)
        for _ in range(MAX_SKIPPED if skip_words else 0):
            start = builder.union([start, *(builder.text(f"{word} ", start) for word in skip_words)])
        if around.wake_words:
            with_wake = [builder.text(word + " ", start) for word in around.wake_words]
            start = builder.union(with_wake if around.wake_word_required else [*with_wake, start])
        return builder.automaton(builder.union((start, builder.filler(start))) if around.filler[0] else start)

    # ---- what it does ----------------------------------------------------------------------------------------------

    def parse(self, text: str, context: Mapping[str, Any] | None = None) -> Match | None:
        """What a sentence means; None where it is no sentence of the grammar.

        Where several templates fit, one counts that has a list's value in its slot ``name``, the longest of them; then
        the one with the fewest wildcards, then the one with the most literal letters, then the first intent by name,
        then the first of the file, as in Home Assistant.

        Parameters
        ----------
        text : str
            As a network spells it, or as people write it. The filler as a `Result` marks it.
        context : dict, optional
            What is known from outside, beside what the grammar was made with.
        """
        known = {**(self._around.context or {}), **(context or {})}
        try:
            found = self._parser.parse(text, self._strip, known)
        except RecursionError:
            return None
        if found is None:
            return None
        sentence, (template, slots, captures) = found
        said = " ".join(plain(sentence).split())
        return Match(template.intent, slots, said, template.reply.render(slots, captures), template.metadata)

    def _strip(self, sentence: str) -> str:
        """Without filler and wake word."""
        before, after = self._around.filler
        if before and sentence and is_filler(sentence[0]):
            sentence = sentence.lstrip("".join({c for c in sentence if is_filler(c)}) + " ")
        if after and sentence and is_filler(sentence[-1]):
            sentence = sentence.rstrip("".join({c for c in sentence if is_filler(c)}) + " ")
        for word in sorted(self._around.wake_words, key=len, reverse=True):
            for form in (word, normalise(word)):
                if sentence.startswith(form + " "):
                    return sentence[len(form) + 1 :]
        return sentence

    def sample(self, rng: random.Random) -> Sentence:
        """One sentence at random: of a template at random, each choice in it at random."""
        while True:
            template = rng.choice(self._templates)
            text, captures = _drawn(template, rng)
            if text:
                context = dict(self._around.context or {})
                slots = self._parser.slots(template, captures, context)
                return Sentence(text, template.intent, slots)

    def examples(self) -> dict[str, str]:
        """A sentence of each intent, the shortest of a few; always the same ones."""
        rng = random.Random(0)
        found: dict[str, list[str]] = {}
        for template in self._templates:
            found.setdefault(template.intent, []).extend(_drawn(template, rng)[0] for _ in range(4))
        return {intent: min(filter(None, texts), key=len, default="") for intent, texts in found.items()}

    def sentences(self, limit: int = 1000) -> Iterator[str]:
        """The first sentences in the order of the alphabet, at most `limit`, the filler as "..."; with loops the
        shortest ones."""
        letters = " abcdefghijklmnopqrstuvwxyz'"
        a = self.automaton((*letters, ""))
        waiting, is_acyclic = [(a.start, "")], a.is_acyclic
        while waiting and limit > 0:
            state, text = waiting.pop(-1 if is_acyclic else 0)
            if a.is_final[state]:
                yield text
                limit -= 1
            arcs = sorted(a.arcs(state).items(), reverse=is_acyclic)
            waiting += [(following, text + (letters[label] if label >= 0 else "...")) for label, following in arcs]

    def __repr__(self) -> str:
        return f"<pynna.Grammar {self._of.file or 'of sentences'}: {len(self.intents)} intents>"


def _drawn(template: Template, rng: random.Random) -> tuple[str, list[Capture]]:
    """A sentence of a template and what it captures."""
    captures: list[Capture] = []
    text = template.expression.sample(rng, captures)
    return " ".join(text.split()), captures
