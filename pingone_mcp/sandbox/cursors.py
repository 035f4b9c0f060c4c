"""Opaque places in a list: signed, URL-safe, and never an offset."""

from __future__ import annotations

import base64
import hmac
import struct
import zlib
from dataclasses import dataclass
from hashlib import blake2b

_HEAD = struct.Struct(">QQ8s8s")
_SEAL = 12


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


@dataclass(frozen=True)
class Cursor:
    """A place behind `anchor` in the list at `path`, as it was asked for with `filter`."""

    path: str
    anchor: int
    issued: int
    filter: str
    filter_inside: bool


_BITS = 33


@dataclass(frozen=True)
class WalkPosition:
    """How far a walk has come, and with which version of the directory it began.

    What a `Cursor` calls its anchor where users may change their place during the walk.
    """

    reached: int
    begun: int

    @classmethod
    def read(cls, anchor: int) -> WalkPosition:
        """Read the place out of an anchor."""
        return cls(anchor % 2**_BITS, anchor >> _BITS)

    def anchor(self) -> int:
        """Write the place as an anchor."""
        return self.begun << _BITS | self.reached


class InvalidCursor(ValueError):
    """The cursor is not ours, was edited, or belongs to another list."""


class Cursors:
    """Write and read cursors with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, cursor: Cursor) -> str:
        """Write a cursor; the filter is inside it only on request, its digest always."""
        body = _HEAD.pack(cursor.anchor, cursor.issued, _digest(cursor.path), _digest(cursor.filter))
        if cursor.filter_inside:
            body += zlib.compress(cursor.filter.encode())
        return base64.urlsafe_b64encode(self._seal(body) + body).decode().rstrip("=")

    def read(self, text: str, path: str, asked_filter: str, *, bound: bool) -> Cursor:
        """Read a cursor for a list; `bound` refuses another filter. Raises InvalidCursor."""
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError as problem:
            raise InvalidCursor from problem
        seal, body = raw[:_SEAL], raw[_SEAL:]
        if len(body) < _HEAD.size or not hmac.compare_digest(seal, self._seal(body)):
            raise InvalidCursor
        anchor, issued, of_path, of_filter = _HEAD.unpack(body[: _HEAD.size])
        inside = body[_HEAD.size :]
        filter_ = zlib.decompress(inside).decode() if inside else asked_filter
        same = of_filter == _digest(asked_filter) or (bool(inside) and not asked_filter)
        if of_path != _digest(path) or (bound and not same):
            raise InvalidCursor
        return Cursor(path, anchor, issued, filter_, bool(inside))

    def _seal(self, body: bytes) -> bytes:
        return blake2b(body, key=self._key, digest_size=_SEAL).digest()
