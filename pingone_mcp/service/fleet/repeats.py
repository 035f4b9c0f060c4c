"""Requests that a program sends again: what was done is answered as it was, and what was not done may be done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from pingone_mcp.errors import NoSuchConnection, Problem, UpstreamProblem

if TYPE_CHECKING:
    from pingone_mcp.control.idempotency import Idempotency, KeptAnswer, KeyedRequest

_NOT_DONE = frozenset({401, 429})
"""What a provider answers to what it has not looked at."""


class Repeats:
    """Carry out each request with a key once."""

    def __init__(self, idempotency: Idempotency) -> None:
        self._idempotency = idempotency

    async def once(
        self,
        request: KeyedRequest,
        carry_out: Callable[[], Awaitable[KeptAnswer]],
        worded: Callable[[UpstreamProblem], KeptAnswer],
    ) -> tuple[KeptAnswer, bool]:
        """Return the first answer to a request, and whether it was given before.

        `worded` makes an answer of a failure by which something was decided, or perhaps done: it stays the answer. Any
        other failure is raised, and the request may be sent again. Raises Refused (control.idempotency) too: for one
        under way, one that was cut off, and a key of another request.
        """
        try:
            kept = await self._idempotency.begin(request)
        except LookupError:
            raise NoSuchConnection from None
        if kept is not None:
            return kept, True
        try:
            answer = await carry_out()
        except Problem as problem:
            if not (isinstance(problem, UpstreamProblem) and _is_decided(problem)):
                with anyio.CancelScope(shield=True):
                    await self._idempotency.drop(request)
                raise
            answer = worded(problem)
        with anyio.CancelScope(shield=True):
            await self._idempotency.finish(request, answer)
        return answer, False


def _is_decided(problem: UpstreamProblem) -> bool:
    refused = problem.status is not None and 400 <= problem.status < 500 and problem.status not in _NOT_DONE
    return problem.may_have_happened or refused
