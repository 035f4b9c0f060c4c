"""Bodies of the provider's own API within the size of one answer, and a word on what was cut."""

from __future__ import annotations

from typing import Any

from pingone_mcp.advice import variable
from pingone_mcp.directory.rows import compact, fitted

_NARROWER = (
    "Ask for less: a longer path, `limit` or `filter` in query where the path takes them; or raise "
    f"{variable('answer_characters')}."
)
TOO_DEEP = "Parts nested deeper than this server passes on are left out. Ask for one of them by a longer path."


def bounded(body: Any, characters: int) -> tuple[Any, str | None]:
    """Return a body within a size of compact JSON, and what was left out (None: nothing).

    Of an object the largest members give way, as its member `truncated` says; of an array or a text the end does.
    """
    size = len(compact(body))
    if size <= characters:
        return body, None
    if isinstance(body, dict):
        said = f"The body has {size:,} characters; its member `truncated` names what gave way. {_NARROWER}"
        return fitted(body, characters), said
    if isinstance(body, list):
        first = _first(body, characters)
        return first, f"The first {len(first):,} of {len(body):,} items. {_NARROWER}"
    text = body if isinstance(body, str) else compact(body)
    start = text[:characters]
    while (length := len(compact(start))) > characters:  # quotes and line breaks are written as two characters
        start = start[: min(len(start) - 1, len(start) * characters // length)]
    return start, f"The first {len(start):,} of {len(text):,} characters. {_NARROWER}"


def _first(items: list[Any], characters: int) -> list[Any]:
    """Return as many of the first items as fit, without the brackets."""
    room = characters - 2
    for count, item in enumerate(items):
        room -= len(compact(item)) + 1
        if room < 0:
            return items[:count]
    return items
