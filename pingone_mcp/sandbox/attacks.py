"""Answers made to harm their reader: small on the way and large in memory, or without an end."""

from __future__ import annotations

import functools
import gzip
import json
import uuid

from pingone_mcp.sandbox.errors import Json
from pingone_mcp.sandbox.faults import Fault

_MIB = 1024 * 1024
Headers = list[tuple[bytes, bytes]]


def harmed(fault: Fault, body: bytes) -> tuple[Headers, bytes]:
    """Return what the fault makes of a body, and the headers that come with it."""
    match fault.kind:
        case "gzip_bomb":
            return [(b"content-encoding", b"gzip")], _bomb()
        case "huge_array":
            return [], _zeros()
        case "crowded_page":
            return [], _crowded(body)
        case "cookie_flood":
            return [(b"set-cookie", b"c%d=%s; Path=/" % (number, b"x" * 3_600)) for number in range(5)], body
    return [], body


@functools.cache
def _bomb() -> bytes:
    """Pack 64 MiB into 64 KiB; spaces are no JSON, and may stand around one."""
    return gzip.compress(b" " * (64 * _MIB))


@functools.cache
def _zeros() -> bytes:
    """Write two million values, 4 MiB, each of them an object in the memory of a reader."""
    return b"[" + b",".join([b"0"] * 2_000_000) + b"]"


def _crowded(body: bytes) -> bytes:
    """Fill a page with 6,000 things that do not exist, whatever was asked for."""
    try:
        page: Json = json.loads(body)
        rows = next(iter(page["_embedded"].values()))
    except (ValueError, LookupError, TypeError):  # no page
        return body
    rows += [{"id": str(uuid.UUID(int=number))} for number in range(6_000)]
    return json.dumps(page).encode()
