"""How often something may happen: counts by key, in memory that is bounded however many keys there are."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from pingone_mcp.clock import Clock

PER_SECONDS = 10
"""The time in which so many may happen; whoever is refused may come again after as long."""
_MOST_KEYS = 10_000


@dataclass(slots=True)
class _Seconds:
    """What was let in during each of the last seconds; `second` is the last one."""

    second: int
    counts: list[int] = field(default_factory=lambda: [0] * PER_SECONDS)

    def move_to(self, second: int) -> None:
        for passed in range(max(self.second, second - PER_SECONDS) + 1, second + 1):
            self.counts[passed % PER_SECONDS] = 0
        self.second = second


@dataclass(slots=True, kw_only=True)
class Rates:
    """Lets `most` happen in PER_SECONDS, for each key.

    The second that has just begun is one of them, so that whoever comes after PER_SECONDS finds room again. When there
    are more than `most_keys`, the one that was not seen for the longest time is forgotten.
    """

    most: int
    clock: Clock
    most_keys: int = _MOST_KEYS
    _keys: OrderedDict[str, _Seconds] = field(default_factory=OrderedDict[str, _Seconds])

    def take(self, key: str) -> bool:
        """Count one more for a key, and say whether it may be: what may not is not counted."""
        seconds = self._look(key)
        if sum(seconds.counts) >= self.most:
            return False
        seconds.counts[seconds.second % PER_SECONDS] += 1
        return True

    def is_spent(self, key: str) -> bool:
        """Say whether one more for a key would be too many, without counting it."""
        return key in self._keys and sum(self._look(key).counts) >= self.most

    def __len__(self) -> int:
        """Count the keys that are remembered."""
        return len(self._keys)

    def _look(self, key: str) -> _Seconds:
        second = int(self.clock.monotonic())
        seconds = self._keys.setdefault(key, _Seconds(second))
        self._keys.move_to_end(key)
        if len(self._keys) > self.most_keys:
            self._keys.popitem(last=False)
        seconds.move_to(second)
        return seconds


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
