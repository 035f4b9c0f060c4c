"""What this process has counted of hooks that a person should look at, by connection."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class HookCounts:
    """`unreadable`: what came and could not be parsed. `set_aside`: events whose work failed again and again."""

    unreadable: Counter[str] = field(default_factory=Counter[str])
    set_aside: Counter[str] = field(default_factory=Counter[str])
