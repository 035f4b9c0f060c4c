"""How often something may happen: counts by key, in memory that is bounded however many keys there are."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from pingone_mcp.clock import Clock

PER_SECONDS = 10
"""The length of a window; whoever is refused may come again after as long."""
_MOST_KEYS = 10_000


@dataclass(slots=True)
class _Window:
    """What was let in during the window `number`, and during the one before it."""

    number: int
    now: int = 0
    before: int = 0

    def move_to(self, number: int) -> None:
        if number != self.number:
            self.before = self.now if number == self.number + 1 else 0
            self.number, self.now = number, 0


@dataclass(slots=True, kw_only=True)
class Rates:
    """Lets `most` happen in any PER_SECONDS, for each key.

    Windows follow each other; the one before counts by the part of it that is still within PER_SECONDS, so a key takes
    two numbers. When there are more than `most_keys`, the one that was not seen for the longest time is forgotten.
    """

    most: int
    clock: Clock
    most_keys: int = _MOST_KEYS
    _windows: OrderedDict[str, _Window] = field(default_factory=OrderedDict[str, _Window])

    def take(self, key: str) -> bool:
        """Count one more for a key, and say whether it may be: what may not is not counted."""
        window, has_room = self._look(key)
        if has_room:
            window.now += 1
        return has_room

    def is_spent(self, key: str) -> bool:
        """Say whether one more for a key would be too many, without counting it."""
        return key in self._windows and not self._look(key)[1]

    def __len__(self) -> int:
        """Count the keys that are remembered."""
        return len(self._windows)

    def _look(self, key: str) -> tuple[_Window, bool]:
        number, into = divmod(self.clock.monotonic(), PER_SECONDS)
        window = self._windows.setdefault(key, _Window(int(number)))
        self._windows.move_to_end(key)
        if len(self._windows) > self.most_keys:
            self._windows.popitem(last=False)
        window.move_to(int(number))
        return window, window.before * (1 - into / PER_SECONDS) + window.now < self.most


@dataclass(slots=True)
class Recent:
    """The last keys that were added, at most so many."""

    most: int = _MOST_KEYS
    _keys: OrderedDict[bytes, None] = field(default_factory=OrderedDict[bytes, None])

    def add(self, key: bytes) -> None:
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > self.most:
            self._keys.popitem(last=False)

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys
