"""Receivers of the tests, and the turns of those who deliver to them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pingone_mcp.clock import Clock
from pingone_mcp.control.control import ControlData
from pingone_mcp.errors import Unreachable
from pingone_mcp.http.outward.targets import Receipt
from pingone_mcp.service.events.deliveries import Deliveries

URL = "https://hooks.example.com/in"


@dataclass
class Letter:
    """What came: where, with which headers, and what stood in it."""

    url: str
    body: bytes
    headers: dict[str, str]

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """Answers one thing after the other, and the last one from then on; None: nothing at all."""

    answers: Sequence[Receipt | None] = (Receipt(200, None),)
    letters: list[Letter] = field(default_factory=list[Letter])
    heard: Callable[[Letter], None] = lambda _: None

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Receipt:
        self.letters.append(letter := Letter(url, body, headers))
        self.heard(letter)
        answer = self.answers[min(len(self.letters), len(self.answers)) - 1]
        if answer is None:
            raise Unreachable("hooks.example.com did not answer in time.")
        return answer

    def numbers(self) -> list[int]:
        return [letter.event["payload"]["n"] for letter in self.letters]


def patient(clock: Clock) -> Clock:
    """Return a clock without chance."""
    return dataclasses.replace(clock, jitter=lambda: 0.0)


async def write(control: ControlData, *numbers: int, connection: str = "a") -> None:
    for number in numbers:
        await control.outbox.add("record:created", {"n": number}, connection_id=connection, tenant=None)


async def deliver_due(deliveries: Deliveries, control: ControlData) -> None:
    """Deliver what is due now, each line until one fails."""
    for head in await control.outbox.heads():
        while await deliveries.deliver_next(head.line):
            pass
