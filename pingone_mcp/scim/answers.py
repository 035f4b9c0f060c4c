"""What a SCIM server answers, read tolerantly: a page of a list, a user's key and times, and what the server can do.

Names of members may be written in any case (RFC 7643 §2.1), and numbers as strings. What is not there is None.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pingone_mcp.directory.models import JsonObject

_LIST = "urn:ietf:params:scim:api:messages:2.0:listresponse"
_MOST = 2**53  # a number beyond is none that counts users


@dataclass(frozen=True, slots=True, kw_only=True)
class ScimAnswer:
    """An answer: its status, its body (None where that is no JSON), and how many bytes that had.

    `retry_after` are the seconds after which the server wants to be asked again, `date` its own clock (wall seconds).
    """

    status: int
    document: object = None
    size: int = 0
    retry_after: float | None = None
    date: float | None = None


GetJson = Callable[[str, Mapping[str, str]], Awaitable[ScimAnswer]]
"""Asks a URL with parameters, once. Raises Problem where no answer comes, or one that is too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """A page of a list. `strange` counts entries that are no objects; `is_listed` says that there is a list at all."""

    users: tuple[JsonObject, ...]
    total: int | None = None
    start: int | None = None
    next_cursor: str | None = None
    strange: int = 0
    is_listed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFeatures:
    """What a server says it can do; `most` is how many users it puts on a page."""

    has_cursors: bool = False
    has_filters: bool = False
    most: int | None = None


def page_of(document: object) -> ListPage | None:
    """Read a page (RFC 7644 §3.4.2); None where the document is no list."""
    if not isinstance(document, dict):
        return None
    members = _members(document)
    entries = members.get("resources")
    total = _number(members.get("totalresults"))
    if entries is None and total is None and not _is_list(members.get("schemas")):
        return None
    if not isinstance(entries, list | None):
        return None
    users = tuple(one for one in entries or () if isinstance(one, dict))
    cursor = members.get("nextcursor")
    return ListPage(
        users=users,
        total=total,
        start=_number(members.get("startindex")) or None,  # 0 is no place
        next_cursor=cursor if isinstance(cursor, str) and cursor else None,
        strange=len(entries or ()) - len(users),
        is_listed=entries is not None,
    )


def features_of(document: object) -> ServerFeatures:
    """Read a ServiceProviderConfig (RFC 7643 §5, RFC 9865 §4); what it does not say, the server cannot do."""
    members = _members(document)
    paging, filtering = _members(members.get("pagination")), _members(members.get("filter"))
    most = (_number(paging.get("maxpagesize")), _number(filtering.get("maxresults")))
    return ServerFeatures(
        has_cursors=_is_true(paging.get("cursor")),
        has_filters=_is_true(filtering.get("supported")),
        most=min((one for one in most if one), default=None),
    )


def key_of(user: JsonObject) -> str:
    """Return what tells one user from another: the id, or all that is said of one that has none."""
    found = user.get("id") or next((value for name, value in user.items() if name.lower() == "id"), None)
    if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
        return f"id {found}"
    return json.dumps(user, sort_keys=True, ensure_ascii=False)


def time_of(user: JsonObject, name: str) -> datetime | None:
    """Return a time of a user's `meta`, `created` or `lastModified`; None where it is not said."""
    text = _members(_members(user).get("meta")).get(name.lower())
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def names_of(users: Iterable[JsonObject]) -> frozenset[str]:
    """Return the user names of some users."""
    return frozenset(name for one in users if isinstance(name := _members(one).get("username"), str))


def _members(found: object) -> dict[str, object]:
    return {str(name).lower(): value for name, value in found.items()} if isinstance(found, dict) else {}


def _is_list(schemas: object) -> bool:
    return isinstance(schemas, list) and any(str(one).lower() == _LIST for one in schemas)


def _is_true(found: object) -> bool:
    return found is True or (isinstance(found, str) and found.lower() == "true")


def _number(found: object) -> int | None:
    if isinstance(found, str) and found.isascii() and found.strip().isdigit() and len(found) < 20:
        found = int(found)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < _MOST else None
