"""How much a caller may send: what is more is refused in one sentence, before anything looks into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MOST_CHARACTERS = 1_000_000
"""Of all texts of one call together: a thousand accounts of check_drift, which are the most, need half of it."""
MOST_ITEMS = 1_000
"""Of one list, and of one object."""
LONGEST_URI = 8_192

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def beyond(arguments: Mapping[str, Any]) -> str | None:
    """Say of the arguments of a call which of them holds too much; None where none does.

    What this takes is bounded too: it ends at the first thing that is too much.
    """
    if len(arguments) > MOST_ITEMS:
        return f"There are {len(arguments):,} arguments; {MOST_ITEMS:,} is the most."
    left = MOST_CHARACTERS
    for name, value in arguments.items():
        waiting = [value]
        left -= len(name)
        while waiting:
            one = waiting.pop()
            if (too_much := _alone(one)) is not None:
                return f"`{name[:64]}`: {too_much}"
            left -= _characters(one)
            if left < 0:
                return f"`{name[:64]}`: a call holds at most {MOST_CHARACTERS:,} characters of text."
            waiting.extend(_inside(one))
    return None


def _alone(value: Any) -> str | None:
    """Say of a value, whatever is inside it, that it is too much."""
    if isinstance(value, list | dict) and len(value) > MOST_ITEMS:
        kind = "list" if isinstance(value, list) else "object"
        return f"a {kind} of {len(value):,} items; {MOST_ITEMS:,} is the most."
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        return "a number of more than 64 bits; write it as a text."
    return None


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(len, value)) if isinstance(value, dict) else 1


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
