# SPDX-License-Identifier: Apache-2.0
"""Sentence files in Home Assistant's language: documents merged, and their intents as templates."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pynna.errors import ArgumentError, GrammarError, reading

from . import yaml_file
from .contexts import Context, allows, is_given
from .expression import NOTHING, Clauses, Expression, Wildcard, required
from .expression import Sequence as InOrder
from .lists import EMPTY_LIST, no_other_keys
from .normalise import normalise
from .replies import Reply
from .templates import Scope, Shared
from .wording import bare, short, where

TOP_KEYS = ("language", "intents", "lists", "expansion_rules", "responses", "skip_words", "settings")
INTENT_KEYS = ("data", "description", "domain", "supported")
BLOCK_KEYS = (
    "sentences", "slots", "response", "requires_context", "excludes_context", "expansion_rules", "lists", "metadata",
    "required_keywords", "settings", "inferred_domain", "name_domains", "description", "example",
)  # fmt: skip
_SETTINGS = ("filter_with_regex", "ignore_whitespace")
_NO_REPLY = Reply("")
_KINDS = {".jsgf": "jsgf", ".gram": "jsgf", ".grammar": "jsgf", ".jsg": "jsgf", ".ini": "ini"}


@dataclass(frozen=True)
class Template:
    """One sentence template: what it looks like, what it means, what is answered.

    Attributes
    ----------
    expression : Expression
        What may be said; `NOTHING` where the context that is known lacks what the block requires.
    whole : Expression or None
        The same whatever is known, for sentences that come with a context of their own; None: no other.
    """

    intent: str
    expression: Expression
    slots: Mapping[str, Any] = field(default_factory=dict)
    reply: Reply = _NO_REPLY
    requires: Context = field(default_factory=dict)
    metadata: Mapping[str, Any] | None = None
    keywords: frozenset[str] = frozenset()
    clauses: Clauses = frozenset()
    whole: Expression | None = None
    excludes: Context = field(default_factory=dict)

    def starts_free(self) -> bool:
        """Whether it begins with the filler."""
        return self._is_filler(0)

    def ends_free(self) -> bool:
        """Whether it ends in the filler."""
        return self._is_filler(-1)

    def _is_filler(self, i: int) -> bool:
        expression = self.whole or self.expression
        items = expression.items if isinstance(expression, InOrder) else (expression,)
        return isinstance(items[i], Wildcard)


@dataclass(frozen=True)
class SentenceFile:
    """What a document holds, ready for a grammar."""

    templates: tuple[Template, ...]
    document: Mapping[str, Any]
    file: str
    language: str
    skip_words: tuple[str, ...]
    notes: tuple[str, ...]


# ---- reading -----------------------------------------------------------------------------------------------------


def read_text(file: str | os.PathLike[str] | IO[str]) -> tuple[str, str]:
    """A file's text and its name."""
    if isinstance(file, (str, os.PathLike)):
        try:
            with reading(file):
                return Path(file).read_text(encoding="utf-8-sig"), os.fspath(file)
        except UnicodeDecodeError as error:
            raise GrammarError(f"{os.fspath(file)}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    if not hasattr(file, "read"):
        raise ArgumentError(f"a sentence file must be a path or an open file, got {file!r}")
    return file.read(), str(getattr(file, "name", ""))


def kind_of(file: str | os.PathLike[str] | IO[str]) -> tuple[str, Any]:
    """What a file is, jsgf, ini, rhino or yaml, and what to read it from: an open one has been read by now."""
    if isinstance(file, (str, os.PathLike)):
        path = Path(file)
        if path.is_dir():
            return "yaml", file
        if path.suffix.lower() in _KINDS:
            return _KINDS[path.suffix.lower()], file
        return _kind_of_text(read_text(file)[0]), file
    text, name = read_text(file)
    again = io.StringIO(text)
    again.name = name
    return _kind_of_text(text), again


def _kind_of_text(text: str) -> str:
    if re.search(r"^\s*#JSGF\b", text, re.MULTILINE):
        return "jsgf"
    if re.search(r"^\[\w+\]\s*$", text, re.MULTILINE):
        return "ini"
    rhino = re.search(r"^context\s*:", text, re.MULTILINE) and not re.search(r"^intents\s*:", text, re.MULTILINE)
    return "rhino" if rhino else "yaml"


def load(source: Any) -> tuple[Any, str]:
    """A document of a YAML file, of a folder's files (those beneath it, too), or of several of these, merged.

    Mappings are merged, lists follow each other, and of single values the last file's counts.
    """
    if isinstance(source, (str, os.PathLike)) and Path(source).is_dir():
        files: Sequence[Any] = sorted(p for p in Path(source).rglob("*") if p.suffix in (".yaml", ".yml"))
        if not files:
            raise GrammarError(f"{os.fspath(source)}: there is no YAML file in the folder")
        return _merged(files), os.fspath(source)
    if isinstance(source, (list, tuple)):
        return _merged(source), ", ".join(os.fspath(s) if isinstance(s, (str, os.PathLike)) else "" for s in source)
    text, name = read_text(source)
    return yaml_file.load(text, name), name


def _merged(sources: Iterable[Any]) -> dict[Any, Any]:
    merged: dict[Any, Any] = {}
    for source in sources:
        document, name = load(source)
        if not isinstance(document, Mapping):
            raise GrammarError(f"{name}: a sentence file holds names and what they stand for")
        before, language = merged.get("language"), document.get("language")
        if before and language and _family(before) != _family(language):
            raise GrammarError(
                f"{name}: its language is {short(language)}, and that of another file {short(before)}: a grammar has "
                "one, so give the folder or the files of one"
            )
        merge(merged, document, name)
    return merged


def _family(language: Any) -> str:
    """The language without its region: "en" of "en-GB"."""
    return str(language).replace("_", "-").partition("-")[0].lower()


def merge(base: dict[Any, Any], other: Mapping[Any, Any], file: str) -> None:
    """Adds another document to one, as Home Assistant does."""
    for key, value in other.items():
        if key not in base:
            base[key] = _copied(value)
        elif isinstance(base[key], dict):
            if not isinstance(value, Mapping):
                raise GrammarError(
                    f"{where(key, file)}{bare(key)!r} holds names in another file, and {short(value)} here"
                )
            merge(base[key], value, file)
        elif isinstance(base[key], list):
            if not isinstance(value, list):
                raise GrammarError(
                    f"{where(key, file)}{bare(key)!r} is a list in another file, and {short(value)} here"
                )
            base[key].extend(value)
        else:
            base[key] = value


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, list) else value


# ---- what a document means ------------------------------------------------------------------------------------------


def section(document: Mapping[str, Any], name: str, file: str) -> Mapping[str, Any]:
    """A part of a document that holds names and what they stand for."""
    found = document.get(name) or {}
    if not isinstance(found, Mapping):
        raise GrammarError(f"{file}: `{name}:` must hold names and what they stand for")
    return found


def _told(given: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """What is told from outside, if it is names and values."""
    if not isinstance(given, Mapping):
        raise ArgumentError(f"{what} must be a mapping of names to values, got {type(given).__name__}")
    return given


def compile_document(
    document: Any, file: str, language: str | None = None, context: Context | None = None
) -> SentenceFile:
    """A document's templates.

    Parameters
    ----------
    document : what `load` gives
    file : str
        Its name, for messages.
    language : str, optional
        Where the document does not tell its own; else English.
    context : mapping, optional
        What is known from outside: blocks that require something else are left out.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("intents"), Mapping):
        example = "intents: {Lights: {data: [{sentences: [lights on]}]}}"
        raise GrammarError(f"{file}: there are no `intents:`; a sentence file has intents with sentences: {example}")
    no_other_keys(document, TOP_KEYS, f"{file}: the file", file)
    _check_settings(section(document, "settings", file), file)
    language = str(document.get("language") or language or "en")
    shared = Shared(file, language)
    maker = _Maker(document, shared, _told(context or {}, "context"))
    templates = tuple(
        template for intent, spec in document["intents"].items() for template in maker.intent(intent, spec)
    )
    skip_words = document.get("skip_words") or []
    if not isinstance(skip_words, list) or not all(isinstance(word, str) for word in skip_words):
        raise GrammarError(f"{file}: `skip_words:` must be a list of words")
    words = dict.fromkeys(normalise(word, language, None).strip() for word in skip_words)
    words.pop("", None)
    return SentenceFile(templates, document, file, language, tuple(words), tuple(dict.fromkeys(maker.notes)))


def _check_settings(settings: Mapping[str, Any], file: str) -> None:
    no_other_keys(settings, _SETTINGS, f"{file}: settings", file)
    if settings.get("ignore_whitespace"):
        at = where(next(key for key in settings if key == "ignore_whitespace"), file)
        raise GrammarError(f"{at}`ignore_whitespace: true` is not supported; words need spaces between them")


class _Maker:
    """Makes templates of a document's intents; blocks with the same lists, rules and conditions share a scope."""

    def __init__(self, document: Mapping[str, Any], shared: Shared, context: Context) -> None:
        self.shared, self.context, self.file = shared, context, shared.file
        self.outer = Scope(
            shared, section(document, "lists", self.file), section(document, "expansion_rules", self.file)
        )
        self.scopes: dict[str, Scope] = {}
        self.replies = self._responses(document)
        self.notes: list[str] = []

    def _responses(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replies by intent: a text, or texts by key."""
        responses = section(document, "responses", self.file)
        inner = responses.get("intents")
        return inner if isinstance(inner, Mapping) else responses

    def intent(self, name: Any, spec: Any) -> Iterator[Template]:
        """An intent's templates."""
        at = where(name, self.file)
        blocks = spec.get("data") if isinstance(spec, Mapping) else None
        if isinstance(spec, Mapping):
            is_block = "sentences" in spec
            no_other_keys(
                spec, (*INTENT_KEYS, *(BLOCK_KEYS if is_block else ())), f"{at}intent {bare(name)!r}", self.file
            )
            if is_block and (blocks is None or isinstance(blocks, list)):
                own = {key: value for key, value in spec.items() if key in BLOCK_KEYS}
                blocks = [*(blocks or []), own]
        if not isinstance(blocks, list) or not blocks:
            raise GrammarError(f"{at}intent {name!r} has no `data:` with `sentences:`")
        for block in blocks:
            yield from self._block(str(name), block, f"{at}intent {name!r}")

    def _block(self, name: str, block: Any, what: str) -> Iterator[Template]:
        sentences = self._sentences(block, what)
        slots, requires, excludes, metadata = (
            self._mapping(block, key, what) for key in ("slots", "requires_context", "excludes_context", "metadata")
        )
        reply = self._reply(name, block.get("response"), what)
        if not allows(requires, excludes, self.context):
            return
        scope = self._scope(block, requires, excludes)
        keywords = block.get("required_keywords") or []
        if not isinstance(keywords, list):
            raise GrammarError(f"{what}: `required_keywords:` must be a list of words")
        for sentence in sentences:
            whole = expression = scope.sentence(sentence)
            for key, wanted in requires.items():
                if not is_given({key: wanted}, self.context):
                    expression = self.shared.carrying(expression, key)
            if whole is NOTHING:
                continue
            self.shared.alive.append(expression)
            yield Template(
                name, expression, {str(k): _plain(v) for k, v in slots.items()}, reply, requires,
                metadata or None, frozenset(normalise(str(w), self.shared.language, None).strip() for w in keywords),
                required(whole, self.shared.clauses), whole, excludes,
            )  # fmt: skip

    def _sentences(self, block: Any, what: str) -> list[str]:
        sentences = block.get("sentences") if isinstance(block, Mapping) else None
        if not isinstance(sentences, list) or not sentences:
            raise GrammarError(f"{what}: `sentences:` must be a list of sentence templates")
        no_other_keys(block, BLOCK_KEYS, what, self.file)
        wrong = [sentence for sentence in sentences if not isinstance(sentence, str)]
        if wrong:
            raise GrammarError(f"{what}: {wrong[0]!r} among its `sentences:` is no text; in quotes it is one")
        return sentences

    def _mapping(self, block: Mapping[str, Any], key: str, what: str) -> Mapping[str, Any]:
        found = block.get(key) or {}
        if not isinstance(found, Mapping):
            raise GrammarError(f"{what}: `{key}:` must hold names and values")
        return found

    def _scope(self, block: Mapping[str, Any], requires: Context, excludes: Context) -> Scope:
        lists, rules = section(block, "lists", self.file), section(block, "expansion_rules", self.file)
        if not (lists or rules or requires or excludes):
            return self.outer
        key = repr((requires, excludes)) if not (lists or rules) else repr((requires, excludes, id(block)))
        if key not in self.scopes:
            self.scopes[key] = Scope(self.shared, lists, rules, self.outer, requires, excludes)
        return self.scopes[key]

    def _reply(self, intent: str, key: Any, what: str) -> Reply:
        """The reply: by its key, the intent's default, or the key itself as a text."""
        if not (key is None or isinstance(key, (str, int, float))):
            raise GrammarError(f"{what}: its reply must be a text, got {short(key)}")
        of_intent = self.replies.get(intent)
        if isinstance(of_intent, Mapping):
            found = of_intent.get(key if key is not None else "default", key)
        else:
            found = of_intent if key is None else key
        if found is not None and found == key and self.replies and str(key).isidentifier():
            found = None  # a key that no reply stands under
        if isinstance(found, (list, Mapping)):
            raise GrammarError(f"{what}: its reply must be a text, got {short(found)}")
        reply = _NO_REPLY if found is None else Reply(str(found), f"{what}: ")
        if reply.lacks:
            self.notes.append(f"{what}: the reply {short(found)} needs {', '.join(reply.lacks)}, which only Home "
                              "Assistant knows: there is no reply")  # fmt: skip
        return reply


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def with_lists(document: Mapping[str, Any], lists: Mapping[str, Iterable[Any]], may_be_empty: bool) -> dict[str, Any]:
    """A document with other values in some of its lists, or with more lists."""
    made: dict[str, Any] = {}
    for name, values in _told(lists, "lists").items():
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise ArgumentError(f"lists must hold several values each, got {name!r}: {values!r:.40}")
        several = [_value(value) for value in values]
        made[name] = EMPTY_LIST if may_be_empty and not several else {"values": several}
    own = section(document, "lists", "")
    return {**document, "lists": {**own, **made}}


def _value(value: Any) -> Any:
    if isinstance(value, tuple):
        return dict(zip(("in", "out", "context", "metadata"), value, strict=False))
    return value
