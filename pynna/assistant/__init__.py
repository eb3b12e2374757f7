# SPDX-License-Identifier: Apache-2.0
"""A voice assistant for a car: intents to actions, a simulated car, and the digital cluster that shows it.

`pynna assistant` serves the cluster (extra ``assistant``); `Assistant` alone needs nothing further.
"""

from pynna.assistant.assistant import Assistant, Outcome
from pynna.assistant.car import Car
from pynna.assistant.drive import Drive

__all__ = ["Assistant", "Car", "Drive", "Outcome"]
