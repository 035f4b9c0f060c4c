"""Why a SCIM server gave no list, and what to do about it, in sentences of our own: nothing of an answer is quoted."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pingone_mcp.errors import Problem
from pingone_mcp.scim.answers import ScimAnswer


class ScimFailed(Problem):
    """A SCIM server refused or failed, or something else answered in its place; `status` is that of the answer."""

    def __init__(self, what: str, next_step: str, *, code: str, status: int) -> None:
        super().__init__(what, next_step, code=code)
        self.status = status


_SAID: Mapping[int, tuple[str, str, str]] = MappingProxyType(
    {
        401: (
            "SCIM_TOKEN_REFUSED",
            "The SCIM server did not accept the token (401).",
            "Give a token that is valid now, for this server and this address.",
        ),
        403: (
            "SCIM_NOT_PERMITTED",
            "The SCIM server does not let this token read users (403).",
            "Give it the right to read users there, or another token.",
        ),
        404: (
            "SCIM_NOT_FOUND",
            "The SCIM server has no users under this address (404).",
            "Check the address: it ends where `/Users` begins, often in `/scim/v2`.",
        ),
        429: (
            "SCIM_LIMITED",
            "The SCIM server asked for a longer pause than this may take (429).",
            "Try again later; how many requests it takes is set there.",
        ),
    }
)


def failure_of(answer: ScimAnswer) -> ScimFailed:
    """Return what to say of an answer that holds no list."""
    status = answer.status
    if status in _SAID:
        code, what, step = _SAID[status]
        return ScimFailed(what, step, code=code, status=status)
    if status >= 500:
        return ScimFailed(
            f"The SCIM server failed ({status}).",
            "Try again later. If it stays so, ask those who run that server.",
            code="SCIM_FAILED",
            status=status,
        )
    if 300 <= status < 400:
        return ScimFailed(
            f"The SCIM server sends callers on to another address ({status}), which is not followed.",
            "Give the address where the users are.",
            code="SCIM_MOVED",
            status=status,
        )
    if status >= 400:
        return ScimFailed(
            f"The SCIM server refused to list users ({status}).",
            "Check the address and the token.",
            code="SCIM_REFUSED",
            status=status,
        )
    return ScimFailed(
        "What answered is no list of a SCIM server: a page for people, perhaps, or something else in its place.",
        "Check the address: it ends where `/Users` begins, often in `/scim/v2`.",
        code="SCIM_NO_LIST",
        status=status,
    )
