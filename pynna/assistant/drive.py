# SPDX-License-Identifier: Apache-2.0
"""A simulated drive: what the dials show while nobody has a car at hand."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

from pynna.assistant.car import Car
from pynna.assistant.city import City

CAPACITY = 64.0
"""kWh of the battery."""

CHARGER = 50.0
"""kW."""

_MASS, _DRAG, _ROLL, _AUXILIARY = 1900.0, 0.42, 0.011, 0.6  # kg, kg/m (half rho cd A), -, kW
_ACCELERATION = {"sport": 3.0, "eco": 1.3, "economy": 1.3, "snow": 1.0}  # m/s²
_COMFORT = 1.9


class Drive:
    """A car on its way through a town, second by second.

    Attributes
    ----------
    speed : float
        km/h.
    power : float
        kW, below 0 while it recuperates.
    battery : float
        Percent.
    odometer : float
        km.
    way : list of int
        The crossings ahead; the car is between the first two.
    """

    def __init__(self, seed: int = 7) -> None:
        self.city = City(seed)
        self._rng = random.Random(seed)
        self.speed, self.power, self.battery = 0.0, 0.0, 78.0
        self.odometer = 12480.0
        self.outside = 17.0
        self.way = [self.city.middle, self.city.neighbours[self.city.middle][0]]
        self._along = 0.0  # metres since way[0]
        self.destination = ""
        self._end = self.way[1]  # the crossing of the destination
        self._energy = 0.0  # kWh since the start
        self._start = self.odometer

    @property
    def position(self) -> tuple[float, float]:
        """Metres east and north of the town's middle."""
        a, b = (self.city.nodes[n] for n in self.way[:2])
        t = min(1.0, self._along / max(self.city.length(*self.way[:2]), 1e-6))
        return float(a[0] + (b[0] - a[0]) * t), float(a[1] + (b[1] - a[1]) * t)

    @property
    def heading(self) -> float:
        """Radians, counter-clockwise from east."""
        a, b = (self.city.nodes[n] for n in self.way[:2])
        return math.atan2(b[1] - a[1], b[0] - a[0])

    @property
    def consumption(self) -> float:
        """kWh on 100 km, averaged over the drive."""
        driven = self.odometer - self._start
        return 16.0 if driven < 0.3 else max(8.0, min(40.0, 100 * self._energy / driven))

    @property
    def range(self) -> float:
        """km that the battery lasts."""
        return self.battery / 100 * CAPACITY / 17.0 * 100

    @property
    def remaining(self) -> tuple[float, float]:
        """To the destination: km and minutes."""
        if not self.destination:
            return 0.0, 0.0
        return self._measure(self.way)

    @property
    def next_turn(self) -> tuple[str, float]:
        """What comes next on a route, and in how many metres: "left", "right", "arrive"; "" without a route."""
        if not self.destination:
            return "", 0.0
        metres = self.city.length(*self.way[:2]) - self._along
        for a, b, c in zip(self.way, self.way[1:], self.way[2:], strict=False):
            turn = self._angle(a, b, c)
            if abs(turn) > 0.5:
                return "left" if turn > 0 else "right", metres
            metres += self.city.length(b, c)
        return "arrive", metres

    def _angle(self, a: int, b: int, c: int) -> float:
        """How far one turns at b on the way from a to c, radians, left above 0."""
        ahead, then = self.city.nodes[b] - self.city.nodes[a], self.city.nodes[c] - self.city.nodes[b]
        turn = math.atan2(then[1], then[0]) - math.atan2(ahead[1], ahead[0])
        return (turn + math.pi) % (2 * math.pi) - math.pi

    def _measure(self, way: list[int]) -> tuple[float, float]:
        pairs = list(pairwise(way))
        metres = sum(self.city.length(a, b) for a, b in pairs) - self._along
        seconds = sum(self.city.length(a, b) / (self.city.speed(a, b) * 0.7 / 3.6) for a, b in pairs)
        return max(0.0, metres) / 1000, seconds / 60

    @property
    def moving(self) -> bool:
        """Whether the car is on the move."""
        return self.speed > 1.0

    @property
    def address(self) -> str:
        """Where the car is, in words."""
        x, y = self.position
        kind = self.city.streets[self.way[0], self.way[1]].capitalize()
        east = "east" if x > 0 else "west"
        north = "north" if y > 0 else "south"
        return f"{kind} {min(self.way[:2]) % self.city.size + 1}, in the {north} {east}"

    def trip(self, car: Car) -> float:
        """km since the trip was reset, or since the start."""
        return self.odometer - (car.trip_start or self._start)

    def charging_hours(self, limit: float) -> float:
        """Hours that charging to a share of the battery takes."""
        return max(0.0, limit - self.battery) / 100 * CAPACITY / CHARGER

    def way_to(self, place: str) -> tuple[float, float]:
        """To a place: km and minutes."""
        return self._measure([self.way[0], *self.city.route(self.way[1], self.city.find(place, self.way[1]))])

    def turn(self, side: str) -> bool:
        """Turns left or right at the next crossing, if a street goes there."""
        a, b = self.way[:2]
        for n in self.city.neighbours[b]:
            turn = self._angle(a, b, n)
            if n != a and abs(turn) > 0.5 and (turn > 0) == (side == "left"):
                self.way = [a, b, n, *(self.city.route(n, self._end)[1:] if self.destination else ())]
                return True
        return False

    @property
    def limit(self) -> float:
        """km/h that is allowed here."""
        return self.city.speed(*self.way[:2])

    def go_to(self, place: str) -> None:
        """Sets out for a place; an empty name ends the guidance."""
        if place == self.destination:
            return
        self.destination = place
        if place:
            self._end = self.city.find(place, self.way[1])
            self.way = [self.way[0], *self.city.route(self.way[1], self._end)]
        else:
            self.way = self.way[:2]

    def tick(self, seconds: float, car: Car) -> None:
        """Goes on by some seconds with a car's settings: its engine, mode, cruise control, destination, charging."""
        self.go_to(car.destination)
        before = self.speed / 3.6
        top = _ACCELERATION.get(car.mode, _COMFORT)
        wish = self._wish(car)
        step = max(-3.0 * seconds, min(top * seconds * max(0.25, 1 - before / 45), wish - before))
        now = max(0.0, before + step)
        self.speed = now * 3.6
        pull = _MASS * (now - before) / max(seconds, 1e-6) + _DRAG * now * now
        pull += _MASS * 9.81 * _ROLL if now > 0.1 else 0.0
        power = pull * now / 1000
        self.power = max(-60.0, min(160.0, power * (0.7 if power < 0 else 1.1))) + _AUXILIARY * (now > 0.1)
        energy = self.power * seconds / 3600
        self._energy += energy
        self.odometer += now * seconds / 1000
        if car.charging and now < 0.1:
            self.power, energy = -CHARGER, -CHARGER * seconds / 3600
            if self.battery >= car.charge_limit:
                self.power, energy = 0.0, 0.0
        self.battery = max(0.0, min(100.0, self.battery - 100 * energy / CAPACITY))
        self._move(now * seconds)

    def _wish(self, car: Car) -> float:
        """The speed that the driver goes for, m/s."""
        if not car.engine or car.charging or self.battery <= 0 or self._arrived:
            return 0.0
        speed = float(car.cruise) if car.cruise else self.limit
        left = self.city.length(*self.way[:2]) - self._along
        slow = 9.0 if not self._straight() else speed / 3.6
        if self.destination and len(self.way) == 2:
            slow = 0.0
        return min(speed / 3.6, math.sqrt(max(0.3, slow * slow + 2 * 2.2 * max(0.0, left - 3.0))))

    @property
    def _arrived(self) -> bool:
        return bool(self.destination) and len(self.way) == 2 and self._along > self.city.length(*self.way) - 8.0

    @property
    def arrived(self) -> bool:
        """Whether the destination is reached."""
        return self._arrived and self.speed < 2.0

    def _straight(self) -> bool:
        self._look_ahead()
        return len(self.way) < 3 or abs(self._angle(*self.way[:3])) < 0.6

    def _look_ahead(self) -> None:
        """Without a destination the next crossing is chosen by chance, straight on most of the time."""
        while not self.destination and len(self.way) < 4:
            last, here = self.way[-2:]
            onward = [n for n in self.city.neighbours[here] if n != last] or [last]
            ahead = 2 * self.city.nodes[here] - self.city.nodes[last]
            onward.sort(key=lambda n: math.dist(self.city.nodes[n], ahead))
            self.way.append(onward[0] if self._rng.random() < 0.75 else self._rng.choice(onward))

    def _move(self, metres: float) -> None:
        self._along += metres
        self._look_ahead()
        while len(self.way) > 2 and self._along >= self.city.length(*self.way[:2]):
            self._along -= self.city.length(*self.way[:2])
            del self.way[0]
            self._look_ahead()
        if len(self.way) == 2:
            self._along = min(self._along, self.city.length(*self.way))

    def as_dict(self, car: Car) -> dict[str, Any]:
        """As the page shows it; speed km/h, power kW, range and remaining km, minutes."""
        distance, minutes = self.remaining
        turn, metres = self.next_turn
        x, y = self.position
        parked = not car.engine and self.speed < 0.5
        return {
            "speed": round(self.speed, 2),
            "power": round(self.power, 2),
            "battery": round(self.battery, 2),
            "range": round(self.range, 1),
            "odometer": round(self.odometer, 3),
            "outside": self.outside,
            "trip": round(self.trip(car), 2),
            "consumption": round(self.consumption, 1),
            "limit": self.limit,
            "gear": "P" if parked else "D",
            "x": round(x, 2),
            "y": round(y, 2),
            "heading": round(self.heading, 4),
            "remaining": round(distance, 2),
            "minutes": round(minutes, 1),
            "turn": turn,
            "turn_in": round(metres),
        }
