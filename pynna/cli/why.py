# SPDX-License-Identifier: Apache-2.0
"""``pynna why``: why a recording is understood as it is, or refused."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import resources

from pynna.audio import files
from pynna.cli.arguments import EXIT_CODES, MODEL_HELP, sentences_of, share
from pynna.cli.terminal import FAILED, OK, complain, to_json
from pynna.diagnosis import Diagnosis, diagnose
from pynna.errors import PynnaError
from pynna.model import load
from pynna.saving import whole_file

DESCRIPTION = "Tells what was heard freely, the nearest sentence, where they part, confidence, level and noise."

EPILOG = (
    """\
examples:
  pynna why clip.wav --grammar mine.yaml
  pynna why clip.wav --grammar car --threshold 0.3
  pynna why *.wav --grammar mine.yaml --json
  pynna why mine/ --grammar mine.yaml --histogram mine.html     confidences, with the threshold to drag

A folder stands for the recordings in it. --histogram writes a page that stands alone.

"""
    + EXIT_CODES
)

_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Confidences</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.4 system-ui, sans-serif; margin: 1.5em auto; max-width: 60em; padding: 0 1em; }
h1 { font-size: 1.2em; } svg { width: 100%; height: auto; touch-action: none; }
table { border-collapse: collapse; width: 100%; margin-top: 1em; } td, th { text-align: left; padding: .3em .6em; }
td { border-top: 1px solid #8886; overflow-wrap: anywhere; } .no { color: #c0564b; }
</style></head><body><h1>Confidences of <span id="n"></span> recordings</h1><div id="bars"></div>
<table><thead><tr><th>Recording<th>Nearest sentence<th>Heard freely<th>Confidence</tr></thead>
<tbody id="rows"></tbody></table>
<script>SCRIPT</script>
<script>
const { rows, threshold } = DATA;
rows.sort((a, b) => a.confidence - b.confidence);
const lines = rows.map(({ name, text, heard, confidence, reason }) => {
  const line = document.createElement("tr");
  line.title = reason;
  for (const content of [name, text, heard, confidence.toFixed(3)]) line.insertCell().textContent = content;
  return line;
});
document.getElementById("rows").append(...lines);
document.getElementById("n").textContent = rows.length;
histogram(document.getElementById("bars"), rows, threshold, (at) => {
  rows.forEach(({ confidence }, i) => (lines[i].className = confidence >= at ? "" : "no"));
});
</script></body></html>
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings, or folders of them")
    parser.add_argument("--grammar", required=True, metavar="FILE", help='the sentences; "car": those that ship')
    parser.add_argument("-m", "--model", metavar="M", help=MODEL_HELP)
    parser.add_argument("--threshold", type=share, metavar="P", help="confidence from which a sentence is accepted")
    parser.add_argument("--channel", metavar="C", help="left, right, or a number from 1")
    parser.add_argument("--histogram", metavar="OUT.html", help="write a page with the confidences")
    parser.add_argument("--json", action="store_true", help="a JSON object a file")


def run(args: argparse.Namespace) -> int:
    """The command."""
    model, code = load(args.model), OK
    grammar = sentences_of(args.grammar)
    found_in: dict[str, Diagnosis] = {}
    for path in files.recordings_in(args.files):
        try:
            audio = files.read(path, sample_rate=model.sample_rate, channel=args.channel)
            found = diagnose(model, audio, grammar, args.threshold)
        except (PynnaError, OSError) as error:
            complain(error, path)
            code = FAILED
            continue
        found_in[path] = found
        print(to_json({"file": path, **found.as_dict()}) if args.json else _text(path, found, audio.notes), flush=True)
    if args.histogram is not None and found_in:
        with whole_file(args.histogram) as out:
            out.write(histogram(found_in))
    return code


def histogram(found: Mapping[str, Diagnosis]) -> str:
    """A page that stands alone: how many recordings have which confidence, with a threshold to drag."""
    script = (resources.files("pynna") / "assistant/page/histogram.js").read_text(encoding="utf-8")
    rows = [{"name": name, "text": one.sentence, "heard": one.heard, "confidence": one.confidence, "reason": one.reason}
            for name, one in found.items()]  # fmt: skip
    threshold = next(iter(found.values())).threshold
    data = to_json({"rows": rows, "threshold": threshold}).replace("<", "\\u003c")
    return _PAGE.replace("SCRIPT", script).replace("DATA", data)


def _text(path: str, found: Diagnosis, notes: tuple[str, ...]) -> str:
    slots = "".join(f" {name}={value}" for name, value in found.slots.items())
    lines = [
        f"{path}: {found.reason}",
        f"  heard freely   {found.heard or '(nothing)'}",
        f"  nearest        {found.sentence or '(nothing)'}" + (f"  [{found.intent}{slots}]" if found.intent else ""),
        f"  confidence     {found.confidence:.3f} of {found.threshold:.3f}",
    ]
    if found.rival is not None and found.speech:
        nats = "" if found.margin is None else f"  {found.margin:.1f} nats lower"
        lines.append(f"  rival          {found.rival}{nats}")
    if found.sentence and found.speech:  # else they are the first letters of any sentence
        lines += [f"  or             {text}  {confidence:.3f}" for text, confidence in found.others if text]
    lines += [f"  {d.start:6.2f} {d.end:6.2f}  {d.heard or '-'}  /  {d.sentence or '-'}" for d in found.differences]
    spoken = ", ".join(f"{start:.2f} to {end:.2f} s" for start, end in found.speech) or "none"
    lines += [
        f"  speech         {spoken}",
        f"  level          {found.level:.0f} dB, noise {found.noise:.0f} dB",
        *(f"  note           {note}" for note in (*notes, *found.remarks)),
    ]
    return "\n".join(lines)
