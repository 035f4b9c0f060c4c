"""How far a look at everybody in the local copy is: counted in a worker thread, read and stopped from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """Nobody needs the outcome any more."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """How many have been looked at so far, of about how many, and doing what."""

    stage: str = "reading the local copy"
    done: int = 0
    about: int | None = None
    stopped: bool = False

    def expect(self, more: int) -> None:
        """Say that so many more will be looked at."""
        self.about = (self.about or 0) + more

    def of(self, items: Iterable[T]) -> Iterator[T]:
        """Give the items, and count them. Raises Stopped when somebody has stopped it."""
        for item in items:
            if self.stopped:
                raise Stopped
            self.done += 1
            yield item
