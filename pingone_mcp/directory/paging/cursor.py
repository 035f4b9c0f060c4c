"""Cursors that an agent may hold: opaque, signed, and bound to one connection and one question.

A cursor is a `Mark` (where a listing goes on) together with the question it belongs to. The question travels
inside, so that a cursor alone is enough to go on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import zlib
from dataclasses import dataclass

from pingone_mcp.directory.paging.position import Position
from pingone_mcp.errors import Refused

_MAC_BYTES = 16
_LONGEST = 16_000
_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopGuard:
    """Notice that a chain of positions runs in a circle, in constant memory (Brent's algorithm).

    `mark` is a remembered position; it moves on after 1, 2, 4, 8 … steps.
    """

    mark: str = ""
    steps: int = 0
    power: int = 1

    def after(self, position: str) -> LoopGuard | None:
        """Return the guard one step further on, or None when this position was met before."""
        name = hashlib.blake2s(position.encode(), digest_size=8).hexdigest()
        if name == self.mark:
            return None
        if self.steps + 1 >= self.power:
            return LoopGuard(mark=name, steps=0, power=self.power * 2)
        return LoopGuard(mark=self.mark, steps=self.steps + 1, power=self.power)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a listing goes on: the `position` of a page (None: the beginning), and how far into that page.

    `taken` rows of that page have been returned, and `after` holds the ids of the last of them, newest last: should
    some be gone when the page is read again, the others still tell where to go on. Should the page have become
    shorter than `taken`, the place is on one of the pages behind it.
    """

    position: Position | None = None
    after: tuple[str, ...] = ()
    taken: int = 0
    guard: LoopGuard = LoopGuard()


class CursorSeal:
    """Seal marks into cursors and open them again. `key` is secret and belongs to one connection."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, listing: str, question: dict[str, object], mark: Mark) -> str:
        """Return a URL-safe text."""
        guard = mark.guard
        content = [
            _VERSION,
            listing,
            question,
            mark.position.to_json() if mark.position is not None else None,
            mark.taken,
            mark.after,
            guard.mark,
            guard.steps,
            guard.power,
        ]
        packed = _packed(json.dumps(content, separators=(",", ":"), sort_keys=True).encode())
        return base64.urlsafe_b64encode(self._mac(packed) + packed).decode().rstrip("=")

    def open(self, listing: str, cursor: str) -> tuple[dict[str, object], Mark]:
        """Return the question and the mark. Raises Refused for what this connection did not seal."""
        if len(cursor) > _LONGEST:
            raise _not_ours()
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _not_ours() from None
        if base64.urlsafe_b64encode(sealed).decode().rstrip("=") != cursor:  # another spelling of the same bytes
            raise _not_ours()
        mac, packed = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(packed)):
            raise _not_ours()
        version, *content = json.loads(zlib.decompress(packed))
        if version != _VERSION:
            raise Refused(
                "This cursor was made by another version of pingone-mcp.",
                "Start again without `cursor`.",
                code="STALE_CURSOR",
            )
        of, question, position, taken, after, mark, steps, power = content
        if of != listing:
            raise Refused(
                "This cursor belongs to another tool.",
                "Pass it to the tool that returned it, or start again without `cursor`.",
                code="FOREIGN_CURSOR",
            )
        guard = LoopGuard(mark=mark, steps=steps, power=power)
        begins = Position.from_json(position) if position is not None else None
        return question, Mark(position=begins, after=tuple(after), taken=taken, guard=guard)

    def _mac(self, packed: bytes) -> bytes:
        return hmac.new(self._key, packed, hashlib.sha256).digest()[:_MAC_BYTES]


def _packed(content: bytes) -> bytes:
    """Compress a few hundred bytes; the memory that zlib takes for more of them costs ten times as much time."""
    packing = zlib.compressobj(level=9, wbits=12, memLevel=5)
    return packing.compress(content) + packing.flush()


def _not_ours() -> Refused:
    return Refused(
        "This cursor was changed, or it comes from another connection.",
        "Pass `next_cursor` exactly as it was returned, or start again without `cursor`.",
        code="FOREIGN_CURSOR",
    )


def same_question(asked: dict[str, object], sealed: dict[str, object]) -> dict[str, object]:
    """Return the question that a cursor goes on with. Raises Refused when the arguments ask something else.

    Arguments may be left out beside a cursor; one that is given must be the one that the cursor was made with.
    """
    # `since_given` stands for the argument `since`, beside the time that it meant.
    changed = sorted(name.removesuffix("_given") for name, value in asked.items() if sealed.get(name) != value)
    if changed:
        raise Refused(
            f"The cursor was made with another value of: {', '.join(changed)}.",
            "Go on with the same arguments (or the cursor alone), or start again without `cursor`.",
            code="FOREIGN_CURSOR",
        )
    return sealed
