"""Which face a path belongs to: that decides what a caller must show, and how a refusal is worded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from pingone_mcp.current_connection import DEFAULT

Face = Literal["mcp", "rest", "hook", "page", "entry", "open", "health"]
"""`open` needs no credential, nor does `entry`, which are the pages where somebody signs in, or links a tenant.

`health` is asked by machines that know this one by its address only.
"""

CONNECTION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MCP = re.compile(r"(?P<path>(?:/c/(?P<connection>[^/]+))?/mcp)/?")
_HOOK = re.compile(r"/hooks/pingone/(?P<connection>[^/]+)")
_PARAMETER = re.compile(r"integrated_account_id(?:\[\d*\])?")
_ACCOUNT = re.compile(r"/integrated-account/([A-Za-z0-9_-]{1,64})(?:/credentials)?")
_NO_IDS = frozenset({"me", "token", "refresh-credentials", "bulk-delete"})
_OPEN = frozenset({"/login", "/openapi.json", "/ping"})
_PAGE = re.compile(
    r"/c/(?P<connection>[^/]+)/?(?:(?<=/)(?:attention|removals|people|groups|changes|reviews|settings|live|link)(?:/.*)?)?"
)
_PAGES = frozenset({"/", "/sign-out"})
_ADDING = re.compile(r"/connections/add(?:/.*)?|/webhooks/[^/]+/[a-z]+")
_ENTRY = re.compile(r"/sign-in(?:/oidc|/callback)?|/connect-account(?:/.*)?")
_ASSETS = "/assets/"
_WELL_KNOWN = "/.well-known/"  # where clients look before they have a credential, and take a 401 for a way to go wrong
_HEALTH = frozenset({"/healthz", "/readyz"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a request goes.

    `resource` is the path of the OAuth resource that it is a part of: that of the endpoint on MCP, and everywhere
    else the whole API (an empty path). `connection` is None where the path names none, or no well-formed one.
    """

    face: Face
    resource: str = ""
    connection: str | None = None


def place_of(path: str) -> Destination:
    """Say where a path leads, as Starlette has it: without a prefix, and percent-decoded."""
    if found := _MCP.fullmatch(path):
        name: str = found["connection"] or DEFAULT
        if CONNECTION_ID.fullmatch(name):
            return Destination(face="mcp", resource=found["path"], connection=name)
        return Destination(face="mcp")
    if path in _HEALTH:
        return Destination(face="health")
    if path in _OPEN or path.startswith((_WELL_KNOWN, _ASSETS)):
        return Destination(face="open")
    if _ENTRY.fullmatch(path):
        return Destination(face="entry")
    if path in _PAGES or _ADDING.fullmatch(path):
        return Destination(face="page")
    if page := _PAGE.fullmatch(path):
        is_id = CONNECTION_ID.fullmatch(page["connection"])
        return Destination(face="page", connection=page["connection"] if is_id else None)
    if path.startswith("/hooks/"):
        hook = _HOOK.fullmatch(path)
        is_named = hook is not None and CONNECTION_ID.fullmatch(hook["connection"])
        return Destination(face="hook", connection=hook["connection"] if hook and is_named else None)
    return Destination(face="rest")


def named_connection(place: Destination, path: str, query: str) -> str | None:
    """Return the connection that a request names in its path or its query; None where it names none."""
    if place.connection is not None:
        return place.connection
    for name, value in parse_qsl(query):  # of which some programs make an array
        if _PARAMETER.fullmatch(name):
            return value
    own = _ACCOUNT.fullmatch(path)
    return own[1] if own and own[1] not in _NO_IDS else None
