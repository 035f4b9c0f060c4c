"""Failures as answers: which status, which members, and what to do next at this face."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pingone_mcp.advice import spelled
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.text.compact_json import harmless_json
from pingone_mcp.errors import (
    FilterRefused,
    NoSuchConnection,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Problem,
    RateLimited,
    Refused,
    RequestRefused,
    ServerFailed,
    Unconfigured,
    UnexpectedAnswer,
    Unreachable,
    UpstreamProblem,
)
from pingone_mcp.nearest import nearest
from pingone_mcp.service.fleet.accounts import WrongSettings
from pingone_mcp.service.fleet.linking import CannotLink
from pingone_mcp.web.refusals import error_body

_logger = logging.getLogger(__name__)

NO_JSON = "NOT_JSON"
"""The code of a body that says itself that it is none."""
RETRY_SECONDS = 10
"""What `Retry-After` says where a provider asks for a longer pause than one call may take: a whole number."""

_STATUSES: tuple[tuple[type[Problem], HTTPStatus], ...] = (
    (NoSuchConnection, HTTPStatus.NOT_FOUND),
    (Refused, HTTPStatus.BAD_REQUEST),
    (Unconfigured, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotPermitted, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (FilterRefused, HTTPStatus.BAD_REQUEST),
    (RequestRefused, HTTPStatus.BAD_REQUEST),
    (RateLimited, HTTPStatus.TOO_MANY_REQUESTS),
    (Unreachable, HTTPStatus.BAD_GATEWAY),
    (ServerFailed, HTTPStatus.BAD_GATEWAY),
    (UnexpectedAnswer, HTTPStatus.BAD_GATEWAY),
    (Problem, HTTPStatus.SERVICE_UNAVAILABLE),
)
_BY_CODE: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        "TOO_SLOW": HTTPStatus.GATEWAY_TIMEOUT,
        "NO_TOKEN_YET": HTTPStatus.GATEWAY_TIMEOUT,
        "NO_ROW_YET": HTTPStatus.GATEWAY_TIMEOUT,
        "INSUFFICIENT_SCOPE": HTTPStatus.FORBIDDEN,
        "HTTP_405": HTTPStatus.METHOD_NOT_ALLOWED,
        "UNIQUENESS_VIOLATION": HTTPStatus.CONFLICT,
        "ACCOUNT_TOKEN": HTTPStatus.FORBIDDEN,
        "ANOTHER_TENANT": HTTPStatus.FORBIDDEN,
        "CREDENTIAL_TOO_NARROW": HTTPStatus.FORBIDDEN,
        "WRITES_OFF": HTTPStatus.FORBIDDEN,
        "PRODUCTION_WRITES_OFF": HTTPStatus.FORBIDDEN,
        "CONNECTION_DOES_NOT_WORK": HTTPStatus.UNPROCESSABLE_ENTITY,
        "IN_FLIGHT": HTTPStatus.CONFLICT,
        "KEY_REUSED": HTTPStatus.UNPROCESSABLE_ENTITY,
        "UNKNOWN_OUTCOME": HTTPStatus.UNPROCESSABLE_ENTITY,
        NO_JSON: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "TOO_LARGE": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "ROSTER_IS_PULLED": HTTPStatus.CONFLICT,
        "ROSTER_NAME_TAKEN": HTTPStatus.CONFLICT,
        "TOO_MANY_ROSTERS": HTTPStatus.CONFLICT,
        "NO_SOURCE": HTTPStatus.CONFLICT,
        "SOURCE_CHANGED": HTTPStatus.CONFLICT,
        "CHANGED_MEANWHILE": HTTPStatus.CONFLICT,
        "NEWER_LIST": HTTPStatus.CONFLICT,
        "ROSTER_NOT_PULLED": HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
# What helps a program here, where the use case speaks of what helps at the other faces.
_NEXT_STEPS: Mapping[str, str] = MappingProxyType(
    {
        "FOREIGN_CURSOR": "Pass `next_cursor` exactly as it was answered, with the same connection and parameters, or "
        "leave it out to start again.",
        "STALE_CURSOR": "Start again without `next_cursor`.",
        "ASK_THE_COPY": "With `truto_super_query=true` the local copy answers this.",
        "NO_REPLICA": "Start a sync (POST /sync-job-run), and ask again when it has ended; or ask without "
        "`truto_super_query`.",
        "ROLES_NOT_COPIED": "Ask for one user's with `user_id`; or have everybody's read into the copy: PATCH "
        "/integrated-account/{id} with `context.replica_roles` true, and POST /sync-job-run.",
        "NOT_FOUND": "List the resource for its ids.",
        "USER_REMOVED": "With `status=deleted` and `truto_super_query=true` the local copy tells what was last known.",
        "ANSWER_TOO_LARGE": "Ask for less: a smaller `limit`, or filters.",
    }
)
_CURSORS = {
    "FOREIGN_CURSOR": "This cursor was changed, or belongs to another connection or question.",
    "STALE_CURSOR": "This cursor is not good any more: what it goes on in has changed.",
}


class WrongContent(Refused):
    """A body that is not what its operation takes; `findings` say of each member which, and why."""

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__(
            f"The body is not what is taken here. {' '.join(findings)}",
            "/openapi.json describes it.",
            code="WRONG_BODY",
        )
        self.findings = findings


class NoRowYet(Problem):
    """A list came neither to a row nor to its end within the time of one answer; `cursor` goes on where it stopped."""

    def __init__(self, cursor: str) -> None:
        super().__init__(
            "No row was found within the time of one answer, and the list is not at its end.",
            "Go on with the `next_cursor` of this error, or narrow the question.",
            code="NO_ROW_YET",
        )
        self.cursor = cursor


def status_of(problem: Problem, *, as_answered: bool = False) -> HTTPStatus:
    """Return the status of the answer that a problem is; `as_answered`: the provider's own, where it is one of errors.

    Clients of this API send again by themselves what was answered 408, 409, 425, 429, 502, 503 or 504. So nothing that
    may have happened is answered so.
    """
    if isinstance(problem, UpstreamProblem):
        if problem.may_have_happened:
            return HTTPStatus.INTERNAL_SERVER_ERROR
        if as_answered and problem.status in _ERRORS:
            return HTTPStatus(problem.status)
    if (status := _BY_CODE.get(problem.code or "")) is not None:
        return status
    return next(status for kind, status in _STATUSES if isinstance(problem, kind))


_ERRORS = frozenset(status.value for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST)


def is_remote(problem: Problem) -> bool:
    """Say whether a problem is what the provider itself answered, and no finding of ours."""
    if isinstance(problem, NotFound | FilterRefused):
        return problem.correlation_id is not None
    return isinstance(problem, UpstreamProblem)


def remote_error_body(problem: Problem, correlation_id: str, *, as_answered: bool = False) -> JsonObject:
    """Return the members of an error; of what the provider said, its code and id alone, and none of its text."""
    code, status = problem.code or "", status_of(problem, as_answered=as_answered)
    what, next_step = _CURSORS.get(code, problem.what), _NEXT_STEPS.get(code, problem.next_step)
    body = error_body(status, Problem(what, next_step, code=problem.code), correlation_id)
    if is_remote(problem):
        said = {"code": problem.code, "id": problem.correlation_id}
        body["truto_is_remote_error"] = True
        body["raw_response"] = {name: value for name, value in said.items() if value is not None}
    if isinstance(problem, CannotLink | WrongSettings | WrongContent):
        body["details"] = {"failures": [spelled(finding) for finding in problem.findings]}
    if isinstance(problem, NoRowYet):
        body["next_cursor"] = problem.cursor
    return body


def failed(
    problem: Problem,
    correlation_id: str,
    *,
    as_answered: bool = False,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """Return the answer that a problem is."""
    status = status_of(problem, as_answered=as_answered)
    pause = {"Retry-After": str(RETRY_SECONDS)} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
    body = remote_error_body(problem, correlation_id, as_answered=as_answered)
    return json_answer(body, status, {**pause, **headers})


def broken(correlation_id: str) -> Response:
    """Return the answer to a request that met a mistake of ours; the log has it under the same id."""
    mistake = Problem(
        "This went wrong here, and was logged.",
        "Tell the person who runs this server the correlation id.",
        code="INTERNAL_ERROR",
    )
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return json_answer(error_body(status, mistake, correlation_id), status)


def json_answer(body: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON that nobody keeps, every string in it harmless."""
    return Response(harmless_json(body), status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def correlation_id_of(request: Request) -> str:
    """Return the id under which the log has a request; empty where no gate has given it one."""
    return str(getattr(request.state, "correlation_id", ""))


class Strays:
    """Answer what no route takes: a path that there is not, or a method that a path does not take."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = sorted(set(paths))

    async def __call__(self, request: Request, stray: Exception) -> Response:
        """Answer for an exception handler of Starlette, of `HTTPException`."""
        status = HTTPStatus(stray.status_code if isinstance(stray, HTTPException) else HTTPStatus.NOT_FOUND)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem = Problem("This path does not take this method.", code=status.name)
        else:
            near = nearest(request.url.path, self._paths, most=2)
            meant = f"Did you mean {' or '.join(near)}?" if near else ""
            problem = Problem("There is nothing at this path.", meant or "See /openapi.json.", code=status.name)
        headers = dict(stray.headers or {}) if isinstance(stray, HTTPException) else {}
        return json_answer(error_body(status, problem, correlation_id_of(request)), status, headers)
