# SPDX-License-Identifier: Apache-2.0
"""Results as lines of text and of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def meaning(result: Mapping[str, Any]) -> str:
    """What follows a line of text where a grammar told what it means: intent and slots, or that it is not accepted; of
    a result's `as_dict`."""
    if "intent" not in result:
        return ""
    if not result["accepted"]:
        why = f"{result['confidence']:.2f}" if result["complete"] else "no whole sentence"
        return f"  (not accepted, {why})"
    slots = "".join(f" {name}={value}" for name, value in result["slots"].items())
    return f"  [{result['intent']}{slots}, {result['confidence']:.2f}]"


def to_json(value: Any) -> str:
    """One line of JSON; what is infinite or NaN, which JSON does not know, is null."""

    def known(item: Any) -> Any:
        if isinstance(item, dict):
            return {str(key): known(part) for key, part in item.items()}
        if isinstance(item, (list, tuple)):
            return [known(part) for part in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(known(value), allow_nan=False)
