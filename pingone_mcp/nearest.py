"""What somebody meant who has mistyped a name: the nearest of those that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 64  # characters of a word that are compared: the time grows by their square
_ALIKE = 0.6  # of two letters for one that is the same in both (difflib: 0 nothing, 1 all)


def nearest(word: str, known: Iterable[str], *, most: int = 2, alike: float = _ALIKE) -> list[str]:
    """Return at most so many of the known names that are like a word, the nearest first; case counts for nothing."""
    names: dict[str, list[str]] = {}
    for name in dict.fromkeys(known):
        names.setdefault(name.casefold(), []).append(name)
    word = word[:_LONGEST]
    found = difflib.get_close_matches(word.casefold(), names, n=most, cutoff=alike)
    spellings = (difflib.get_close_matches(word, names[one], n=most, cutoff=0) for one in found)
    return [name for same in spellings for name in same][:most]


def did_you_mean(word: str, known: Iterable[str], *, most: int = 2) -> str:
    """Return the question whether one of the nearest names was meant; nothing where none is near."""
    near = nearest(word, known, most=most)
    return f"Did you mean {' or '.join(near)}?" if near else ""
