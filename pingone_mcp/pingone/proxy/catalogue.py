"""Every operation of PingOne's API that its public OpenAPI files state: pure look-ups in a table read when first asked.

The table says what is known, not what is allowed: a path that is missing in it may exist all the same.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import takewhile

from pingone_mcp.directory.native import Operation

FILE = "operations.tsv"  # written by tests/pingone/specifications.py
_ENVIRONMENT = re.compile(r"/environments/\{[^}]*\}/")
_PARAMETER = re.compile(r"\{[^}]*\}")


@functools.cache
def operations() -> tuple[Operation, ...]:
    """Return every operation, sorted by path."""
    text = files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return tuple(_operation(line) for line in text.splitlines())


@functools.cache
def areas() -> dict[str, tuple[Operation, ...]]:
    """Return the operations by area, in alphabetical order."""
    found: dict[str, list[Operation]] = {}
    for operation in operations():
        found.setdefault(operation.area, []).append(operation)
    return {area: tuple(found[area]) for area in sorted(found, key=str.lower)}


def match(method: str, segments: Sequence[str]) -> Operation | None:
    """Return the operation that a method and the decoded segments of a path name; HEAD is what GET is.

    Where a word and a parameter both fit (`…/revisions/id:latest`), the word is meant.
    """
    found = [one for one in _by_method().get("GET" if method == "HEAD" else method, ()) if _fits(one, segments)]
    return min(found, key=lambda one: one.path.count("{"), default=None)


def spelling(segment: str) -> str:
    """Return a segment of a path as PingOne spells it where it is one of its words in another case, else as it is."""
    return _words().get(segment.casefold(), segment)


def complete(prefix: str) -> tuple[str, ...]:
    """Return the path templates that begin as a path does, with its ids in the place of their parameters."""
    given = prefix.lstrip("/").split("/")
    *whole, last = given
    found: dict[str, None] = {}
    for operation in operations():
        parts = operation.path.strip("/").split("/")
        if len(parts) < len(given) or not all(map(_stands_for, parts, whole)):
            continue
        if parts[len(whole)].lower().startswith(last.lower()):
            found["/" + "/".join([*whole, *parts[len(whole) :]])] = None
        elif last and _PARAMETER.fullmatch(parts[len(whole)]):
            found["/" + "/".join([*given, *parts[len(given) :]])] = None
    return tuple(found)


def area_of(path: str) -> str:
    """Return the area of a path template: its first word below the environment, or else its first word."""
    inner = _ENVIRONMENT.sub("", path, count=1).strip("/")
    return "".join(takewhile(lambda letter: letter != "/", inner))


def _operation(line: str) -> Operation:
    method, path, takes, answers = (*line.split("\t"), "", "")[:4]
    return Operation(
        area=area_of(path), method=method, path=path, takes=tuple(takes.split()), answers=tuple(answers.split())
    )


@functools.cache
def _by_method() -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    for operation in operations():
        found.setdefault(operation.method, []).append(operation)
    return found


@functools.cache
def _words() -> dict[str, str]:
    parts = {part for operation in operations() for part in operation.path.split("/") if not part.startswith("{")}
    return {part.casefold(): part for part in parts}


def _fits(operation: Operation, segments: Sequence[str]) -> bool:
    parts = operation.path.strip("/").split("/")
    return len(parts) == len(segments) and all(map(_stands_for, parts, segments))


def _stands_for(part: str, segment: str) -> bool:
    return part == segment or (bool(segment) and _PARAMETER.fullmatch(part) is not None)
