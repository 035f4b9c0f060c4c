"""Who may deliver: whoever shows the secret of the connection's hook, before a byte of the delivery is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.datastructures import Headers

from pingone_mcp.errors import Problem, Refused
from pingone_mcp.web.authentication.bearer import BadCredential, bearer_token
from pingone_mcp.web.refusals import TurnedAway

Opens = Callable[[str, str], Awaitable[bool]]
"""Says whether a text is the secret of a connection's hook; for one that there is not, just as fast. Raises Problem."""

_NO_CONNECTION = "-"
_CLOSE = {"Connection": "close"}  # the body is not waited for


class HookDoor:
    """Let a delivery in, or turn it away: with the same answer whether or not there is such a connection."""

    def __init__(self, opens: Opens) -> None:
        self._opens = opens

    async def __call__(self, connection: str | None, headers: Headers) -> None:
        """Raise TurnedAway: 401, or 503 where it cannot be found out, so that it is sent again."""
        try:
            shown = bearer_token(headers) or ""
        except BadCredential:
            shown = ""
        try:
            is_right = await self._opens(connection or _NO_CONNECTION, shown)
        except Problem as problem:
            raise not_now(problem) from None
        if not is_right:
            raise wrong_secret()


def wrong_secret() -> TurnedAway:
    """Return the answer to a delivery without the secret, or to no connection."""
    refused = Refused(
        "This is not the secret of this hook.",
        "`pingone-mcp connections hook C` prints the URL and the header to enter at the provider.",
        code="HOOK_SECRET",
    )
    return TurnedAway(HTTPStatus.UNAUTHORIZED, refused, {**_CLOSE, "WWW-Authenticate": "Bearer"})


def not_now(problem: Problem) -> TurnedAway:
    """Return the answer where nothing can be kept just now."""
    return TurnedAway(HTTPStatus.SERVICE_UNAVAILABLE, problem, {"Retry-After": "5"})
