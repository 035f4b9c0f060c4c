"""One operation of the API: where it is, what it takes, what it answers, and who may ask it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pingone_mcp.current_connection import working_for
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import Problem, Refused, Unreachable
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.callers import Caller, Permission, ServedToCallers
from pingone_mcp.service.connections import ServedConnection
from pingone_mcp.web.rest.failures import broken, correlation_id_of, failed, json_answer
from pingone_mcp.web.rest.parameters import GivenQuery, Parameter, read

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_logger = logging.getLogger(__name__)

CONNECTION = Parameter(
    name="integrated_account_id",
    about="The connection that is asked, by its id; may be left out where the credential reaches only one.",
)
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
    """A request that an operation answers: who asks, what of which connection (None where it is about none)."""

    caller: Caller
    query: GivenQuery
    path: Mapping[str, str]
    correlation_id: str
    request: Request
    budget: AnswerBudget
    served: ServedConnection | None = None

    async def backend(self) -> Backend:
        """Return the backend of the connection, with the budgets of programs. Raises Problem where there is none."""
        assert self.served is not None, "an operation that is about a connection"
        backend = await self.served.backend()
        budget = self.budget
        return dataclasses.replace(backend, answer_characters=budget.characters, answer_seconds=budget.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAnswer:
    """What an operation answers with."""

    body: object
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOperation:
    """One operation, described whole: of this a document of the API can be made.

    `path` has its parameters in braces (`{id}` takes what is behind a slash in it too), and `about_path` says what they
    are. `answers` is the JSON schema of the answer, `failures` the statuses of errors beyond those that every operation
    has. Where `of_connection`, it takes `integrated_account_id` too.
    """

    name: str
    method: Method = "GET"
    path: str
    tag: str
    summary: str
    answer: Callable[[Asking], Awaitable[RestAnswer]]
    answers: JsonObject
    parameters: tuple[Parameter, ...] = ()
    about_path: Mapping[str, str] = field(default_factory=dict[str, str])
    permission: Permission = "directory.read"
    of_connection: bool = True
    failures: tuple[HTTPStatus, ...] = ()

    @property
    def every_parameter(self) -> tuple[Parameter, ...]:
        return (CONNECTION, *self.parameters) if self.of_connection else self.parameters


def routes(
    operations: Sequence[RestOperation], fleet: ServedToCallers, budget: AnswerBudget | None = None
) -> list[BaseRoute]:
    """Return the routes of operations, which answer for the connections of a fleet."""
    return [
        Route(
            one.path.replace("{id}", "{id:path}"),
            _answering(one, fleet, budget or AnswerBudget()),
            methods=[one.method],
            name=one.name,
        )
        for one in operations
    ]


def _answering(
    operation: RestOperation, fleet: ServedToCallers, budget: AnswerBudget
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        correlation_id = correlation_id_of(request)
        try:
            with anyio.move_on_after(_MOST_SECONDS):
                return _sent(await _answered(operation, fleet, budget, request))
            return failed(_too_slow(), correlation_id)
        except Problem as problem:
            return failed(problem, correlation_id)
        except Exception:
            _logger.exception("The request %s met a mistake", correlation_id)
            return broken(correlation_id)

    return answer


async def _answered(
    operation: RestOperation, fleet: ServedToCallers, budget: AnswerBudget, request: Request
) -> RestAnswer:
    """Let the operation answer. Raises Problem for who may not ask it, and for what it does not take."""
    caller: Caller = request.state.caller
    if lacking := caller.lacks({operation.permission}):
        raise Refused(
            f"The credential lacks a permission; this needs: {', '.join(sorted(lacking))}.",
            "Use a credential that has these scopes.",
            code="INSUFFICIENT_SCOPE",
        )
    query = read(request.scope["query_string"], operation.every_parameter)
    asking = Asking(
        caller=caller,
        query=query,
        path=request.path_params,
        correlation_id=correlation_id_of(request),
        request=request,
        budget=budget,
    )
    if not operation.of_connection:
        return await operation.answer(asking)
    served = await fleet.served(caller, query.texts.get(CONNECTION.name))
    with working_for(served.id):
        return await operation.answer(dataclasses.replace(asking, served=served))


def _sent(answer: RestAnswer) -> Response:
    """Return an answer as it is sent."""
    if answer.status == HTTPStatus.NO_CONTENT:
        return Response(status_code=answer.status, headers=dict(answer.headers))
    return json_answer(answer.body, answer.status, answer.headers)


def _too_slow() -> Unreachable:
    return Unreachable(
        f"This was not answered within {_MOST_SECONDS:g} s.", "Ask for less, or try again.", code="TOO_SLOW"
    )
