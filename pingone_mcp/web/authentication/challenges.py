"""What a refusal says of the credential that is needed (RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

from pingone_mcp.errors import Refused
from pingone_mcp.service.callers import LacksScope, Permission
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.places import Destination
from pingone_mcp.web.rates import PER_SECONDS
from pingone_mcp.web.refusals import TurnedAway

_LEAST: Permission = "directory.read"
"""What every MCP session needs, whatever else is asked in it."""
_HOW = "Send an API key or an access token as `Authorization: Bearer …`."


def unauthorized(address: PublicAddress, place: Destination, why: str | None) -> TurnedAway:
    """Return the refusal of a request without a good credential; `why` is None where there was none at all."""
    error = None if why is None else {"error": "invalid_token", "error_description": why}
    headers = {"WWW-Authenticate": _challenge(address, place, {_LEAST}, error)}
    return TurnedAway(HTTPStatus.UNAUTHORIZED, Refused(why or "This needs a credential.", _HOW), headers)


def insufficient_scope(address: PublicAddress, place: Destination, needed: Collection[Permission]) -> TurnedAway:
    """Return the refusal of a credential that lacks one of the permissions an operation needs; it names all of them."""
    together = {*({_LEAST} if place.face == "mcp" else ()), *needed}
    error = {"error": "insufficient_scope", "error_description": f"This needs: {', '.join(sorted(together))}."}
    headers = {"WWW-Authenticate": _challenge(address, place, together, error)}
    return TurnedAway(HTTPStatus.FORBIDDEN, LacksScope(together), headers)


def too_many(what: str) -> TurnedAway:
    """Return the refusal of one request too many; `what` says of what."""
    refused = Refused(f"Too many {what}.", f"Go on after {PER_SECONDS} seconds.", code="RATE_LIMITED")
    return TurnedAway(HTTPStatus.TOO_MANY_REQUESTS, refused, {"Retry-After": str(PER_SECONDS)})


def _challenge(
    address: PublicAddress, place: Destination, scopes: Collection[Permission], error: dict[str, str] | None
) -> str:
    members = {"resource_metadata": address.metadata(place.resource)}
    if place.face == "mcp" or error is not None:
        members["scope"] = " ".join(sorted(scopes))
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in {**(error or {}), **members}.items())
