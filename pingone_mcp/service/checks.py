"""What a check-up of a connection says, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


class Step(Protocol):
    """What one step of a check-up found. `text` has marks of settings.

    `needed`: without it the server is of no use. `answered`: what is missing was refused, so that it says something
    about the credentials; not so where no answer came. `signs_in`: it is whether they are accepted at all. `where` is
    the place in the provider's own console where what is missing is mended; empty where it is none of its places.
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
    @property
    def signs_in(self) -> bool: ...
    @property
    def where(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenOff:
    """A check-up that came to its end before all was tried."""

    text: str
    step: str = "check"
    ok: bool = False
    needed: bool = True
    answered: bool = False
    signs_in: bool = False
    where: str = ""


Heard = Callable[[Step], None]
"""Hears each step as it ends."""
Checkup = AbstractAsyncContextManager[AsyncIterator[Step]]


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """An environment or a population by its id, and its name where that can be read."""

    id: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPlace:
    """An environment that credentials see, and its populations; `is_whole` says that all of them were listed."""

    environment: KnownPlace
    kind: str | None = None
    populations: tuple[KnownPlace, ...] = ()
    is_whole: bool = True
