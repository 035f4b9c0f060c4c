"""One page or one form, described whole: where it is, who may open it, and the one function that answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.service.backend import Backend
    from pingone_mcp.service.callers import Caller, Permission
    from pingone_mcp.service.connections import ServedConnection
    from pingone_mcp.web.authentication.sessions import BrowserSession

READS: frozenset[Permission] = frozenset({"directory.read"})
"""What it takes to see anything of a directory."""
SYNCS: frozenset[Permission] = frozenset({"directory.sync"})
MANAGES: frozenset[Permission] = frozenset({"connections.manage"})
MANAGES_EVENTS: frozenset[Permission] = frozenset({"events.manage"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody who has signed in opens a page, or sends a form of one.

    `linked` is the connection that the page is about (None: it is about none), `served` the same while it is served.
    `form` has what was sent, without its CSRF token, which was good.
    """

    request: Request
    session: BrowserSession
    linked: LinkedConnection | None = None
    served: ServedConnection | None = None
    form: FormData | None = None

    @property
    def caller(self) -> Caller:
        caller: Caller = self.request.state.caller
        return caller

    @property
    def reads(self) -> bool:
        """Whether whoever visits may see anything of a directory."""
        return not self.caller.lacks(READS)

    @property
    def query(self) -> Mapping[str, str]:
        """What stands behind the question mark; of a name that stands there twice, the last."""
        return self.request.query_params

    @property
    def path(self) -> Mapping[str, str]:
        return self.request.path_params

    @property
    def connection(self) -> LinkedConnection:
        """The connection that the page is about."""
        assert self.linked is not None, "a page about a connection"
        return self.linked

    async def backend(self) -> Backend:
        """Return the backend of the connection. Raises Problem where there is none."""
        assert self.served is not None, "a page that shows the directory of a connection"
        return await self.served.backend()

    def entered(self, name: str) -> str:
        """Return what was entered in a field of the form; empty where nothing was."""
        value = "" if self.form is None else self.form.get(name, "")
        return value.strip() if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """What a page shows: a template and its values. `part` names the block of it that alone is wanted (None: all).

    One that is `streamed` is sent while it is made: its values may hold what comes bit by bit.
    """

    template: str
    values: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    status: HTTPStatus = HTTPStatus.OK
    part: str | None = None
    streamed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadsTo:
    """A form was done: the page to show next, as a path of ours, and what to say there (one sentence)."""

    path: str
    said: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePage:
    """A page. `path` names a `{connection}` where it is about one; where it `shows_directory`, that must be served.

    It is opened by who has all permissions that it `needs`: what shows anything of a directory needs `READS`, and what
    else it says. `for_programs` answers who has not signed in, but sends a credential with each request.
    """

    path: str
    show: Callable[[Visit], Awaitable[PageView | Response | LeadsTo]]
    needs: frozenset[Permission] = READS
    shows_directory: bool = True
    for_programs: Callable[[Request], Awaitable[Response]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageForm:
    """A form of a page, which changes something; what it is done with shows itself on the page that it leads to.

    Who sends it has all permissions that it `needs`.
    """

    path: str
    act: Callable[[Visit], Awaitable[LeadsTo | PageView | Response]]
    needs: frozenset[Permission]
    shows_directory: bool = False
