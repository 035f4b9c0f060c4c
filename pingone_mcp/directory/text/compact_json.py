"""Compact JSON of data, and of data that other people wrote: many rows at once, fast."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from pingone_mcp.directory.text.harmless import clean, harmless, hides_nothing

_encode = msgspec.json.Encoder().encode
_encode_anything = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LEVELS = 2  # below these, a body and its list, are rows


def compact_json(value: Any) -> str:
    """Return JSON-like data as compact JSON (RFC 8259); a lone surrogate stays what it is."""
    try:
        return _encode(value).decode()
    except (UnicodeEncodeError, OverflowError, RecursionError, TypeError):
        return _encode_anything(value)


def harmless_json(value: Any) -> str:
    """Return compact JSON of JSON-like data in which every string is harmless, as `clean` makes it.

    Nearly all data is harmless already, and its text says so many times faster than its parts: only the rows of a body
    that are not are gone through.
    """
    text = compact_json(value)
    if text.isascii() and _is_harmless(text):
        return text
    cleaned = _cleaned(value, _LEVELS)
    return text if cleaned is value else compact_json(cleaned)


def _is_harmless(text: str) -> bool:
    """Say whether nothing hidden is in a JSON text, as it is or as an escape."""
    return hides_nothing(text) and ("\\" not in text or all(one in '"\\' for one in _ESCAPED.findall(text)))


def _cleaned(value: Any, levels: int) -> Any:
    """Return what `clean` makes of a value: itself where it is harmless, and so with its members and items."""
    if not isinstance(value, dict | list | tuple) or levels == 0 or _has_harmful_name(value):
        return value if _is_harmless(compact_json(value)) else clean(value)
    if isinstance(value, dict):
        members = {name: _cleaned(member, levels - 1) for name, member in value.items()}
        return value if all(members[name] is member for name, member in value.items()) else members
    items = [_cleaned(item, levels - 1) for item in value]
    return value if all(one is other for one, other in zip(items, value, strict=True)) else items


def _has_harmful_name(value: Any) -> bool:
    """Say whether a name of a member is not harmless: then others may have to change with it, to stay apart."""
    return isinstance(value, dict) and not all(isinstance(name, str) and harmless(name) == name for name in value)
