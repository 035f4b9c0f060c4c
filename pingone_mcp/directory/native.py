"""A provider's own API, for what the questions of `Directory` do not cover. A provider may have none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pingone_mcp.directory.models import JsonObject, Organization
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position

ConcernedKind = Literal["user", "group", "population", "role", "role assignment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyQuestion:
    """A request to the provider's own API; `path` is below its base.

    `query` values are sent percent-encoded, `body` as JSON of the media type `content_type`.
    """

    method: str
    path: str
    query: Mapping[str, str | list[str]] = field(default_factory=dict[str, str | list[str]])
    body: Any = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyAnswer:
    """The provider's answer: `page` for a collection, `body` for anything else (text where it is not JSON).

    `content_type` is the media type of what came, None where nothing did. A body beside the items of a page holds
    what the provider wrote around them; beside a page without items it is the whole, and the page only says where it
    goes on. `cut` says that parts were nested too deeply to be passed on. `unread` says why the body of a write that
    was answered is not there.
    """

    status: int
    correlation_id: str | None
    page: Page[JsonObject] | None = None
    body: Any = None
    content_type: str | None = None
    cut: bool = False
    unread: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation that the provider's own API is known to have, with the media types that it takes and answers."""

    area: str
    method: str
    path: str
    takes: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a write would send: to which environment and path, with which query and body; secrets are blanked.

    `beyond`: it gives a role over more than that environment.
    """

    organization: Organization
    path: str
    query: JsonObject = field(default_factory=dict[str, Any])
    body: Any = None
    beyond: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """Somebody or something that a write is about. `found` is False where there is none of this id, None if unread."""

    kind: ConcernedKind
    id: str
    name: str | None = None
    username: str | None = None
    found: bool | None = None


class NativeApi(Protocol):
    """The provider's own API, inside the scope of the connection.

    Every method that asks raises `Problem` for what a person can mend, and nothing else: Refused for what lies outside
    the scope, before any request.
    """

    async def send(self, question: ProxyQuestion, at: Position | None = None) -> ProxyAnswer:
        """Send one request; `at` is the position in its list, where it is not the beginning."""
        ...

    async def preview(self, question: ProxyQuestion) -> Preview:
        """Say what a write would change. Raises Refused for one that leads outside the scope. Sends no write."""
        ...

    async def concerned(self, question: ProxyQuestion) -> tuple[Concerned, ...]:
        """Say whom a write that `preview` let through is about: who cannot be read is there without a name."""
        ...

    def operations(self) -> dict[str, tuple[Operation, ...]]:
        """Return what the API is known to offer, by area. Asks nobody."""
        ...

    def complete_path(self, prefix: str) -> tuple[str, ...]:
        """Return the known paths that begin so, parameters in braces. Asks nobody."""
        ...
