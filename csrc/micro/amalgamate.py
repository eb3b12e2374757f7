# SPDX-License-Identifier: Apache-2.0
"""Writes the core for one microphone as two files, pynna_micro.c and pynna_micro.h: python3 amalgamate.py FOLDER.

Beside them go what CMake, ESP-IDF, Zephyr and Arduino ask of a library.

Names that only one file sees are given the file's in front where another file has them, too, and functions that files
share are static; nothing else is changed but that there is one channel and one thread.
"""

import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent
HEADERS = (
    "layout.h model.h threads.h mac_array.h verify.h network.h activation.h exact_math.h ctc_input.h ctc_log_add.h "
    "ctc_rank.h ctc_trie.h ctc_search.h ctc_beam.h graph_search.h graph_search_cells.h"
).split()
SOURCES = (
    "status.c activation.c mac_array_ref.c mac_array_dsp.c mac_array_mve.c isa.c threads.c mfcc.c frames.c nna_file.c "
    "network_workspace.c network_layers.c network.c ctc_rank.c ctc_log_add.c ctc_greedy.c ctc_trie.c ctc_memory.c "
    "ctc_room.c ctc_scorer.c ctc.c ctc_results.c words.c graph.c graph_search_memory.c graph_search_room.c "
    "graph_search.c graph_search_hot.c graph_search_results.c micro/micro.c"
).split()
LIMITS = {"PYNNA_MAX_CHANNELS = 16": "PYNNA_MAX_CHANNELS = 1", "PYNNA_MAX_THREADS = 64": "PYNNA_MAX_THREADS = 1"}
CONTRACT = """/* Where nobody can set flags (Arduino): bits need that nothing is contracted. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off", "no-math-errno", "no-tree-loop-distribute-patterns")
#endif

"""
LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def file_scope(text: str) -> str:
    """A file without comments, strings and what stands in braces but the enumerators of enums."""
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', " ", text, flags=re.DOTALL)
    text = re.sub(r"enum(\s+\w+)?\s*\{([^{}]*)\}", lambda m: "enum " + m[2], text)
    while (shorter := re.sub(r"\{[^{}]*\}", "{", text)) != text:
        text = shorter
    return text.replace("{", " ; ")


def names_of(text: str) -> set[str]:
    """What a file defines for itself alone: functions, tables, types, enumerators and macros."""
    top = file_scope(text)
    macros = set(re.findall(r"^\s*#\s*define\s+(\w+)", top, re.MULTILINE))
    top = re.sub(r"^\s*#(?:.*\\\n)*.*$", "", top, flags=re.MULTILINE)
    found = set(
        re.findall(r"(\w+)\s*\([^;]*\)\s*;", " ".join(s + ";" for s in top.split(";") if "static" in s or "TILE" in s))
    )
    for statement in top.split(";"):
        variable = statement.split("=")[0]
        if "static" in statement and "(" not in variable:
            found |= set(re.findall(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$", variable))
        if re.search(r"\benum\b", statement):
            found |= set(re.findall(r"\b([A-Za-z_]\w*)\b", statement.split("enum", 1)[1]))
    found |= set(re.findall(r"typedef[^;]*;\s*(\w+)\s*;", top))
    return {name for name in found if not name.startswith(("pynna_", "PYNNA_", "pn_", "PN_", "__"))} | {
        name for name in macros if not name.startswith(("PYNNA_", "PN_"))
    }


def renamed(text: str, names: set[str], prefix: str, shared: set[str]) -> str:
    """A file's text, with these names given a prefix, but in comments, strings and headers' fields."""
    pattern = r'/\*.*?\*/|"(?:\\.|[^"\\])*"|((?:\.|->)\s*)?\b([A-Za-z_]\w*)\b'

    def change(match: re.Match[str]) -> str:
        before, name = match[1] or "", match[2]
        if name not in names or (before and name in shared):
            return match[0]
        return f"{before}{prefix}_{name}"

    return re.sub(pattern, change, text, flags=re.DOTALL)


def plain(text: str) -> str:
    """A file's text without its licence line and the includes of what is in the amalgamation itself."""
    text = text.replace(LICENCE, "")
    return re.sub(r'^#include "[^"]+"\n', "", text, flags=re.MULTILINE)


def own(text: str) -> str:
    """A file's text, the functions that files share made static: what is inlined of them need not stand there again."""
    return re.sub(r"^(?=(?:const )?\w+ \*?pn_\w+\(|    void family##_)", "static ", text, flags=re.MULTILINE)


def main() -> None:
    """Writes both files."""
    folder = Path(sys.argv[1])
    public = (CSRC / "pynna.h").read_text()
    for old, new in LIMITS.items():
        if old not in public:
            sys.exit(f"pynna.h must have {old}")
        public = public.replace(old, new)
    end = public.rindex("#ifdef __cplusplus")
    public = public[:end] + plain((HERE / "micro.h").read_text()) + "\n" + public[end:]
    texts = {name: (CSRC / name).read_text() for name in SOURCES}
    headers = "".join((CSRC / name).read_text() for name in HEADERS)
    names = {name: names_of(text) for name, text in texts.items()}
    shared = set(re.findall(r"\w+", re.sub(r"/\*.*?\*/", "", public + headers, flags=re.DOTALL)))
    parts = [
        LICENCE,
        "/* All of pynna for one microphone on a microcontroller, made by `make -C csrc firmware`: do not edit. */\n",
        '#define PYNNA_MICRO 1\n#define PYNNA_NO_THREADS 1\n#include "pynna_micro.h"\n\n',
        CONTRACT,
        "#include <float.h>\n#include <math.h>\n\n",
        plain((HERE / "freestanding.h").read_text()),
    ]
    parts += [f"\n/* ==== {name} ==== */\n{own(plain((CSRC / name).read_text()))}" for name in HEADERS]
    for name, text in texts.items():
        others = set().union(*(names[other] for other in SOURCES if other != name))
        prefix = Path(name).stem
        body = own(renamed(plain(text), names[name] & others, prefix, shared))
        macros = {
            m for m in re.findall(r"^\s*#\s*define\s+(\w+)", body, re.MULTILINE) if not m.startswith(("PN_", "PYNNA"))
        }
        parts.append(f"\n/* ==== {name} ==== */\n{body}" + "".join(f"#undef {m}\n" for m in sorted(macros)))
    shutil.copytree(HERE / "package", folder, dirs_exist_ok=True)
    (folder / "pynna_micro.h").write_text(public)
    (folder / "pynna_micro.c").write_text("".join(parts))


if __name__ == "__main__":
    main()
