# SPDX-License-Identifier: Apache-2.0
"""What is in a release and what it needs, as CycloneDX 1.5: the package, models with checksum and licence, clips.

Each wheel holds it in .dist-info/sboms (PEP 770, see setup.py), and it stands beside the files that are released."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from setuptools.compat.py310 import tomllib  # type: ignore[no-redef]

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT / "pynna" / "recordings"


def _component(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, **{key.replace("_", "-"): value for key, value in more.items() if value}}


def models() -> list[dict[str, Any]]:
    """The models that ship."""
    found = []
    for path in sorted((ROOT / "pynna" / "models").glob("*")):
        if path.suffix not in (".nna", ".gz"):
            continue
        found.append(
            _component(
                "machine-learning-model" if path.suffix == ".nna" else "data",
                path.name,
                hashes=[{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
                licenses=[{"license": {"id": "Apache-2.0"}}],
            )
        )
    return found


def recordings() -> list[dict[str, Any]]:
    """Where the clips that ship come from, by the table in their README.md."""
    rows = re.findall(
        r"^\| (\S+_\*) \| (.+?) \| (.+?) \| (.+?) \|$", (RECORDINGS / "README.md").read_text("utf-8"), re.M
    )
    known = {"CC BY 4.0": {"id": "CC-BY-4.0"}, "Apache-2.0": {"id": "Apache-2.0"}}
    return [
        _component(
            "data", f"recordings/calibration/{clips}", description=source, copyright=attribution,
            licenses=[{"license": known.get(licence, {"name": licence})}],
        )
        for clips, source, licence, attribution in rows
    ]  # fmt: skip


def sbom(time: int | None) -> dict[str, Any]:
    """The list, of a time in seconds if that is known."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    needs = [(line, "required") for line in project["dependencies"]]
    needs += [(line, "optional") for extra, lines in project["optional-dependencies"].items()
              if extra not in ("test", "dev", "bench") for line in lines]  # fmt: skip
    parts: dict[str, dict[str, Any]] = {}
    for line, scope in needs:
        match = re.match(r"([A-Za-z0-9_.-]+)\s*(.*)", line)
        assert match
        package, wanted = match[1].lower(), match[2]
        wished = [{"name": "pynna:requirement", "value": wanted}] if wanted else []
        parts.setdefault(
            package, _component("library", package, purl=f"pkg:pypi/{package}", scope=scope, properties=wished)
        )
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            **(
                {}
                if time is None
                else {"timestamp": datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}
            ),
            "component": {
                **_component("library", name, version=version, purl=f"pkg:pypi/{name}@{version}"),
                "bom-ref": name,
                "licenses": [{"license": {"id": project["license"]}}],
            },
        },
        "components": [*models(), *recordings(), *(parts[each] for each in sorted(parts))],
    }


def text(time: int | None) -> str:
    """The list as a file: the same bytes each time."""
    return json.dumps(sbom(time), indent=1, sort_keys=True) + "\n"
