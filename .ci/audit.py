# SPDX-License-Identifier: Apache-2.0
"""Known holes in what this Python has installed, by pip-audit: exit code 1 if there is one. What could not be asked
about is told, since pip-audit itself passes over it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def told(found: dict[str, Any]) -> tuple[list[str], list[str], int]:
    """What has a hole, what could not be asked about, and how many were."""
    packages = [each for each in found["dependencies"] if each["name"] != "pynna"]
    holes = [
        f"{each['name']} {each['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'none'}"
        for each in packages
        for hole in each.get("vulns", ())
    ]
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    return holes, unknown, len(packages) - len(unknown)


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner", "off", "--format", "json"]
    ran = subprocess.run(command, capture_output=True, text=True)
    try:
        holes, unknown, n_asked = told(json.loads(ran.stdout))
    except ValueError:
        print(f"   pip-audit gave no answer; its index may be out of reach: {ran.stderr.strip()[-300:]}")
        return 0
    print(f"   {n_asked} packages were asked about, {len(holes)} holes are known")
    if unknown:
        print(
            f"   {len(unknown)} could not be asked about, {', '.join(unknown[:3])} and others: no index tells of them"
        )
    for each in holes:
        print(f"   {each}")
    return int(bool(holes))


if __name__ == "__main__":
    sys.exit(main())
