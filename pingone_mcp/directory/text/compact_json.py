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
_NOT_ENCODED = (UnicodeEncodeError, OverflowError, RecursionError, TypeError)
_LEVELS = 2  # below these, a body and its list, are rows


def compact_json(value: Any) -> str:
    """Return JSON-like data as compact JSON (RFC 8259); a lone surrogate stays what it is."""
    try:
        return _encode(value).decode()
    except _NOT_ENCODED:
        return _encode_anything(value)


def json_size(value: Any) -> int:
    """Return how many characters the compact JSON of JSON-like data has."""
    try:
        encoded = _encode(value)
    except _NOT_ENCODED:
        return len(_encode_anything(value))
    return len(encoded) if encoded.isascii() else len(encoded.decode())


def harmless_json(value: Any) -> bytes:
    """Return compact JSON (UTF-8) of JSON-like data in which every string is harmless, as `clean` makes it.

    Nearly all data is harmless already, and its text says so many times faster than its parts: only the rows of a body
    that are not are gone through. A text of the whole body, many times as large as a row, is made nowhere.
    """
    return _piece(value, _LEVELS)


def _piece(value: Any, levels: int) -> bytes:
    if levels and isinstance(value, dict) and not _has_harmful_name(value):
        return b"{%b}" % b",".join(b"%b:%b" % (_encode(key), _piece(one, levels - 1)) for key, one in value.items())
    if levels and isinstance(value, list | tuple):
        return b"[%b]" % b",".join([_piece(item, levels - 1) for item in value])
    try:
        encoded = _encode(value)
    except _NOT_ENCODED:
        text = _encode_anything(value)
    else:
        if not encoded.translate(None, _SURE):
            return encoded
        text = encoded.decode()
    return (text if _is_harmless(text) else compact_json(clean(value))).encode()


# Bytes of UTF-8 that hide nothing, whatever stands beside them: printable ASCII but for the backslash, and letters up
# to U+033F, which are of western and central Europe.
_SURE = bytes({*range(0x20, 0x7F)} - {0x5C} | {*range(0x80, 0xC0)} | {*range(0xC3, 0xCD)})


def _is_harmless(text: str) -> bool:
    """Say whether nothing hidden is in a JSON text, as it is or as an escape."""
    return hides_nothing(text) and ("\\" not in text or all(one in '"\\' for one in _ESCAPED.findall(text)))


def _has_harmful_name(value: dict[Any, Any]) -> bool:
    """Say whether a name of a member is not harmless: then others may have to change with it, to stay apart."""
    return not all(isinstance(name, str) and harmless(name) == name for name in value)
