"""One operation of the API: where it is, what it takes, what it answers, and who may ask it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pingone_mcp.current_connection import working_for
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.text.harmless import harmless_lines
from pingone_mcp.errors import Problem, Refused, Unreachable
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.callers import Caller, LacksScope, Permission, ServedToCallers
from pingone_mcp.service.connections import ServedConnection
from pingone_mcp.web.authentication.challenges import insufficient_scope
from pingone_mcp.web.refusals import not_for_account_tokens
from pingone_mcp.web.rest.content import C, GivenBody, file_of, json_of, read_content
from pingone_mcp.web.rest.failures import broken, correlation_id_of, failed, json_answer
from pingone_mcp.web.rest.parameters import GivenQuery, Parameter, read, read_own

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_logger = logging.getLogger(__name__)

CONNECTION = Parameter(
    name="integrated_account_id",
    about="The connection that is asked, by its id; may be left out where the credential reaches only one.",
)
NOBODY = Caller(kind="session", client_id="", issuer="", subject="", permissions=frozenset(), connections=frozenset())
"""Who asks where no credential is needed: somebody who reaches nothing."""
_MOST_SECONDS = 28.0  # of any answer: clients of this API wait 30
GAPS_HEADER = "X-Gaps"
"""How many gaps an answer has, for who does not look at its member `gaps`; absent where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerBudget:
    """How large one list may be in characters, and how many seconds are taken for it, where a program asks."""

    characters: int = 16_000_000
    seconds: float = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A request that an operation answers: who asks, what of which connection (None where it is about none).

    `others` are the parameters that are none of the operation's own, as they were written, where it passes them on.
    """

    caller: Caller
    query: GivenQuery
    path: Mapping[str, str]
    correlation_id: str
    request: Request
    budget: AnswerBudget
    served: ServedConnection | None = None
    content: GivenBody | None = None
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def given(self, kind: type[C]) -> C:
        """Return the body, which is of the kind that the operation takes."""
        assert isinstance(self.content, kind)
        return self.content

    async def json(self) -> Any:
        """Return the body of an operation that takes any JSON; None where there is none. Raises Refused."""
        return await json_of(self.request)

    async def file(self, *kinds: str) -> tuple[str, bytes]:
        """Return the media type of a body, which is one of these, and its bytes. Raises Refused."""
        return await file_of(self.request, kinds)

    async def backend(self) -> Backend:
        """Return the backend of the connection, with the budgets of programs. Raises Problem where there is none."""
        assert self.served is not None, "an operation that is about a connection"
        backend = await self.served.backend()
        budget = self.budget
        return dataclasses.replace(backend, answer_characters=budget.characters, answer_seconds=budget.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAnswer:
    """What an operation answers with: JSON, or a text where `is_text`."""

    body: object
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    is_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOperation:
    """One operation, described whole: of this a document of the API can be made.

    `path` has its parameters in braces (each takes what is behind a slash in it too), and `about_path` says what they
    are. `answers` is the JSON schema of the answer, `failures` the statuses of errors beyond those that every operation
    has. Where `of_connection`, it takes `integrated_account_id` too. `takes` is the kind of its body (None: it has
    none, or, where `takes_json`, any JSON, or a file of one of the media types `takes_files`).

    `permission` None: any credential will do; `is_open`: none is needed. The token of one connection is good for what
    is `of_connection`, and `for_account_tokens`. `passes_on` all other parameters and keeps the provider's statuses.
    """

    name: str
    method: Method = "GET"
    path: str
    tag: str
    summary: str
    answer: Callable[[Asking], Awaitable[RestAnswer | Response]]
    answers: JsonObject
    parameters: tuple[Parameter, ...] = ()
    about_path: Mapping[str, str] = field(default_factory=dict[str, str])
    takes: type[GivenBody] | None = None
    takes_json: bool = False
    takes_files: tuple[str, ...] = ()
    permission: Permission | None = "directory.read"
    is_open: bool = False
    of_connection: bool = True
    for_account_tokens: bool = False
    passes_on: bool = False
    failures: tuple[HTTPStatus, ...] = ()

    @property
    def every_parameter(self) -> tuple[Parameter, ...]:
        return (CONNECTION, *self.parameters) if self.of_connection else self.parameters


def routes(
    operations: Sequence[RestOperation], fleet: ServedToCallers, budget: AnswerBudget | None = None
) -> list[BaseRoute]:
    """Return the routes of operations, which answer for the connections of a fleet.

    Each path refuses the methods that it does not take. Those without parameters come first, so that `{id}` takes none
    of their names for an id, and those with something behind `{id}` come before those that end with it.
    """
    paths: dict[str, list[RestOperation]] = {}
    for one in operations:
        paths.setdefault(one.path, []).append(one)
    return [
        route
        for path in sorted(paths, key=lambda path: ("{" in path, path.endswith("}")))
        for route in _at(path, paths[path], fleet, budget or AnswerBudget())
    ]


def _at(
    path: str, operations: Sequence[RestOperation], fleet: ServedToCallers, budget: AnswerBudget
) -> Iterator[BaseRoute]:
    """Yield the routes of one path."""
    place = path.replace("}", ":path}")
    for one in operations:
        yield Route(place, _answering(one, fleet, budget), methods=[one.method], name=one.name)
    yield Route(place, _OtherMethods({one.method for one in operations}), name=f"not {path}")


class _OtherMethods:
    """What refuses the methods that a path does not take: an ASGI application."""

    def __init__(self, taken: Collection[str]) -> None:
        self._allowed = ", ".join(sorted({*taken, *({"HEAD"} if "GET" in taken else ())}))

    async def __call__(self, *_: object) -> None:
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": self._allowed})


def _answering(
    operation: RestOperation, fleet: ServedToCallers, budget: AnswerBudget
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        correlation_id = correlation_id_of(request)
        try:
            with anyio.move_on_after(_MOST_SECONDS):
                return sent(await _answered(operation, fleet, budget, request))
            return failed(_too_slow(operation.method), correlation_id)
        except LacksScope as lacking:
            return failed(lacking, correlation_id, headers=_challenge(operation, lacking, request))
        except Problem as problem:
            return failed(problem, correlation_id, as_answered=operation.passes_on)
        except Exception:
            _logger.exception("The request %s met a mistake", correlation_id)
            return broken(correlation_id)

    return answer


def _challenge(operation: RestOperation, lacking: LacksScope, request: Request) -> Mapping[str, str]:
    """Return the header that names all that the request needs, so that a client asks for it once."""
    own = () if operation.permission is None else (operation.permission,)
    return insufficient_scope(request.state.address, request.state.place, {*own, *lacking.needed}).headers


async def _answered(
    operation: RestOperation, fleet: ServedToCallers, budget: AnswerBudget, request: Request
) -> RestAnswer | Response:
    """Let the operation answer. Raises Problem for who may not ask it, and for what it does not take."""
    caller = None if operation.is_open else await _admitted(operation, request)
    raw: bytes = request.scope["query_string"]
    if operation.passes_on:
        query, others = read_own(raw, operation.every_parameter)
    else:
        query, others = read(raw, operation.every_parameter), {}
    asking = Asking(
        caller=caller or NOBODY,
        query=query,
        path=request.path_params,
        correlation_id=correlation_id_of(request),
        request=request,
        budget=budget,
        content=None if operation.takes is None else read_content(operation.takes, await json_of(request, {})),
        others=others,
    )
    if not operation.of_connection:
        return await operation.answer(asking)
    served = await fleet.served(asking.caller, query.texts.get(CONNECTION.name))
    with working_for(served.id):
        return await operation.answer(dataclasses.replace(asking, served=served))


async def _admitted(operation: RestOperation, request: Request) -> Caller:
    """Return a caller who may ask an operation. Raises Refused for any other."""
    caller: Caller = request.state.caller
    if caller.kind == "account_token" and not (operation.of_connection or operation.for_account_tokens):
        raise not_for_account_tokens()
    if operation.permission is not None and caller.lacks({operation.permission}):
        raise LacksScope({operation.permission, *await _needed_too(operation, request)})
    return caller


async def _needed_too(operation: RestOperation, request: Request) -> Collection[Permission]:
    """Return what a body needs beyond the permission of its operation; nothing for one that is not taken."""
    if operation.takes is None:
        return ()
    try:
        return read_content(operation.takes, await json_of(request, {})).needs()
    except Refused:
        return ()


def sent(answer: RestAnswer | Response) -> Response:
    """Return an answer as it is sent."""
    if isinstance(answer, Response):
        return answer
    if answer.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return Response(status_code=answer.status, headers=dict(answer.headers))
    if answer.is_text:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **answer.headers}
        return Response(harmless_lines(str(answer.body)), answer.status, headers, "text/plain")
    return json_answer(answer.body, answer.status, answer.headers)


def _too_slow(method: Method) -> Unreachable:
    """Return what is said where an answer took too long; of what changes something, nobody knows whether it did."""
    slow = Unreachable(
        f"This was not answered within {_MOST_SECONDS:g} s.", "Ask for less, or try again.", code="TOO_SLOW"
    )
    if method != "GET":
        slow.next_step, slow.may_have_happened = "It may have happened all the same: look before you repeat it.", True
    return slow
