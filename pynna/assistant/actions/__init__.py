# SPDX-License-Identifier: Apache-2.0
"""What each intent does to the car, and what is answered: a file a family of intents."""

from pynna.assistant.actions import battery, body, climate, display, driving, media, navigation, phone, sound
from pynna.assistant.actions.again import PASSING, repeat_more
from pynna.assistant.actions.base import ACTIONS, ActionContext, named
from pynna.assistant.actions.media import playing

FAMILIES = (sound, media, battery, navigation, phone, climate, body, driving, display)
"""The files; each adds its intents to `ACTIONS`."""

__all__ = ["ACTIONS", "FAMILIES", "PASSING", "ActionContext", "named", "playing", "repeat_more"]
