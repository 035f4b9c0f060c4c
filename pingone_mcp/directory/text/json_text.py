"""JSON text of others, read so that one strange value costs itself and never what is beside it.

A page of a list is one text: a number that Python or SQLite cannot hold, or an attribute nested without end, must not
take the other users of the page with it. Such a value becomes text, or is cut, and says so.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

LEVELS = 64
"""What is shown of nested data: what PingOne nests deepest, flows of DaVinci, stays below half of it.

SQLite reads no JSON beyond 1,000 levels, and fails a whole query for one such value (https://sqlite.org/json1.html).
"""

_CUT = f"[nested deeper than {LEVELS} levels]"
_DIGITS = 18  # of an integer that fits into 64 bits whatever the digits are
_LEAST, _MOST = -(2**63), 2**63 - 1
_READABLE = 200  # levels that Python's parser reads wherever it is called; it gives up below a thousand
_MOST_CUT = 4 * 1024 * 1024  # characters that are looked through for where to cut: less than a second
_ESCAPED_NUL = re.compile(rb"(?<!\\)((?:\\\\)*+)\\u0000")
_SPACE = re.compile(r"[ \t\n\r]*+")
_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def without_nul(content: bytes) -> bytes:
    """Return JSON in UTF-8 without U+0000 in its strings: SQLite and many programs end a text there."""
    return _ESCAPED_NUL.sub(rb"\1", content) if b"\\u0000" in content else content


def loads(content: bytes | str) -> Any:
    """Return JSON data (RFC 8259); bytes may be UTF-8, -16 or -32.

    An integer beyond 64 bits with its sign, which SQLite rounds, is its text; so is a number too large for a float.
    Of two members of one name the last counts. Data nested far beyond `LEVELS` is cut somewhere below them; `shallow`
    cuts there. Raises ValueError for what is no JSON, NaN and Infinity among it: a JSONDecodeError or
    UnicodeDecodeError for what breaks off.
    """
    text = content if isinstance(content, str) else content.decode(json.detect_encoding(content), "surrogatepass")
    try:
        return _decode(text)
    except RecursionError:
        pass
    try:
        return _decode(_cut(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def object_of(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one for data that is none, or that cannot be read."""
    try:
        value = loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def loads_in_steps(text: str, most: int) -> Any:
    """Return what `loads` returns of a long text, letting other threads run meanwhile.

    Python's parser keeps them all waiting until it ends, so the items of the outermost list, or of the lists in the
    outermost object, are read one by one. Raises ValueError as `loads` does, and TooManyItems for a list of more than
    `most` items.
    """
    value: Any
    at = _behind_space(text, 0)
    try:
        if text[at : at + 1] == "[":
            value, at = _list(text, at, most)
        elif text[at : at + 1] == "{":
            value, at = _object(text, at, most)
        else:
            return loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if at < len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return value


class TooManyItems(Exception):
    """A list is longer than was asked for."""


def shallow(value: Any) -> Any:
    """Return JSON data without what is nested deeper than `LEVELS`; the very same object where nothing is."""
    return _shallow(value, LEVELS) if isinstance(value, dict | list) and _is_deeper(value) else value


def is_as_loaded(value: Any) -> bool:
    """Say whether data that another parser read is what `loads` and `shallow` make of the same text.

    That parser is to refuse numbers too large for a float, and to return large integers as such.
    """
    layer = [value]
    for _ in range(LEVELS + 1):
        below: list[Any] = []
        for one in layer:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
            elif isinstance(one, int) and not _LEAST <= one <= _MOST:
                return False
        if not below:
            return True
        layer = below
    return False


def _integer(text: str) -> int | str:
    if len(text) <= _DIGITS:
        return int(text)
    if len(text) > _DIGITS + 2:  # Python refuses thousands of digits, and takes the square of their time for fewer
        return text
    value = int(text)
    return value if _LEAST <= value <= _MOST else text


def _number(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _no_constant(name: str) -> None:
    """NaN and Infinity are no JSON (RFC 8259 §6), whatever Python's parser thinks of them."""
    raise ValueError(name)


# A decoder is made once: `json.loads` makes one per call that says how to read numbers.
_decoder = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_no_constant)
_decode, _decode_first = _decoder.decode, _decoder.raw_decode


def _list(text: str, at: int, most: int) -> tuple[list[Any], int]:
    """Return the list that begins at a place, and the place of what is behind it."""
    items: list[Any] = []
    names: dict[str, str] = {}  # one text for each name, however many items have it
    at = _behind_space(text, at + 1)
    while text[at : at + 1] != "]" or items:
        item, at = _decode_first(text, at)
        items.append({names.setdefault(name, name): one for name, one in item.items()} if type(item) is dict else item)
        if len(items) > most:
            raise TooManyItems
        at, more = _more(text, at, "]")
        if not more:
            return items, at
    return items, _behind_space(text, at + 1)


def _object(text: str, at: int, most: int) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    at = _behind_space(text, at + 1)
    while text[at : at + 1] != "}" or members:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        name, at = _decode_first(text, at)
        at = _behind_space(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        at = _behind_space(text, at + 1)
        members[name], at = _list(text, at, most) if text[at : at + 1] == "[" else _decode_first(text, at)
        at, more = _more(text, at, "}")
        if not more:
            return members, at
    return members, _behind_space(text, at + 1)


def _more(text: str, at: int, end: str) -> tuple[int, bool]:
    """Return the place of what is behind a comma, or behind the end, and whether it is a comma."""
    at = _behind_space(text, at)
    if text[at : at + 1] not in (",", end):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    return _behind_space(text, at + 1), text[at] == ","


def _behind_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None, "it matches nothing too"
    return found.end()


def _cut(text: str) -> str:
    """Return JSON text with a sentence in place of what is nested deeper than `_READABLE` levels.

    Raises ValueError for a text that is too long to be looked through.
    """
    if len(text) > _MOST_CUT:
        raise ValueError("too long, and nested too deeply")
    kept: list[str] = []
    level = behind = 0
    for token in _TOKENS.finditer(text):
        match text[token.start()]:
            case "[" | "{":
                level += 1
                if level == _READABLE + 1:
                    kept.append(text[behind : token.start()])
            case "]" | "}":
                if level == _READABLE + 1:
                    kept.append(f'"{_CUT}"')
                    behind = token.end()
                level -= 1
            case _:  # a string, whose brackets are none
                pass
    return "".join((*kept, text[behind:] if level <= _READABLE else ""))


def _is_deeper(value: Any) -> bool:
    """Say whether data is nested more than `LEVELS`; without recursion, which has its own limit."""
    layer = [value]
    for _ in range(LEVELS + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True


def _shallow(value: Any, levels: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        return _CUT
    if isinstance(value, dict):
        return {key: _shallow(member, levels - 1) for key, member in value.items()}
    return [_shallow(item, levels - 1) for item in value]
