"""What a check-up of a connection says, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Step(Protocol):
    """What one step of a check-up found. `needed`: without it the server is of no use; `text` has marks of settings."""

    @property
    def step(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def text(self) -> str: ...
    @property
    def needed(self) -> bool: ...


Heard = Callable[[Step], None]
"""Hears each step as it ends."""
Checkup = AbstractAsyncContextManager[AsyncIterator[Step]]
