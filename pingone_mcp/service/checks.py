"""What a check-up of a connection says, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


class Step(Protocol):
    """What one step of a check-up found. `text` has marks of settings.

    `needed`: without it the server is of no use. `answered`: what is missing was refused, so that it says something
    about the credentials; not so where no answer came.
    """

    @property
    def step(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def text(self) -> str: ...
    @property
    def needed(self) -> bool: ...
    @property
    def answered(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenOff:
    """A check-up that came to its end before all was tried."""

    text: str
    step: str = "check"
    ok: bool = False
    needed: bool = True
    answered: bool = False


Heard = Callable[[Step], None]
"""Hears each step as it ends."""
Checkup = AbstractAsyncContextManager[AsyncIterator[Step]]
