"""The caller behind a credential, whatever kind it is of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from pingone_mcp.clock import Clock
from pingone_mcp.service.callers import Caller
from pingone_mcp.web.authentication.access_tokens import AccessTokens
from pingone_mcp.web.authentication.bearer import BadCredential
from pingone_mcp.web.authentication.challenges import too_many
from pingone_mcp.web.authentication.local_credentials import Verify
from pingone_mcp.web.places import Destination
from pingone_mcp.web.rates import Rates, Recent
from pingone_mcp.web.refusals import TurnedAway, not_for_account_tokens

_MOST_FAILURES = 50  # of one address, in as long as `Rates` counts


class Failures:
    """Addresses that tried credentials of ours which were not good, and those that were good lately.

    An address that failed too often is not answered about credentials that nobody saw before, each of which has to be
    looked up; those who are known go on, because everybody may come from the address of one reverse proxy.
    """

    def __init__(self, clock: Clock, most: int = _MOST_FAILURES) -> None:
        self._rates = Rates(most=most, clock=clock)
        self._good = Recent()

    def refuse_guessing(self, address: str, token: str) -> None:
        """Raise TurnedAway (429) where an address tries too many."""
        if self._rates.is_spent(address) and _digest(token) not in self._good:
            raise too_many("credentials that are not good")

    def failed(self, address: str) -> None:
        self._rates.take(address)

    def succeeded(self, token: str) -> None:
        self._good.add(_digest(token))


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """`local` are the prefixes of credentials that we give out, each with what verifies it; any other one is a JWT."""

    local: Mapping[str, Verify]
    failures: Failures
    access_tokens: AccessTokens | None = None

    async def caller(self, token: str, place: Destination, address: str) -> Caller:
        """Return who sends a token to a place, from an address of the network.

        Raises BadCredential, and TurnedAway where this address tried too many, or for the token of one connection
        anywhere but at REST: it opens no session, of a browser or of MCP.
        """
        for prefix, verify in self.local.items():
            if token.startswith(prefix):
                return _at(place, await self._holder(token, verify, address))
        if self.access_tokens is None:
            raise BadCredential("This credential is not known.")
        return await self.access_tokens.caller(
            token, place
        )  # a signature is checked here, and always: they change often

    async def _holder(self, token: str, verify: Verify, address: str) -> Caller:
        self.failures.refuse_guessing(address, token)
        if (caller := await verify(token)) is None:
            self.failures.failed(address)
            raise BadCredential("This credential is not known, was revoked, or has expired.")
        self.failures.succeeded(token)
        return caller


def _at(place: Destination, caller: Caller) -> Caller:
    """Return a caller whose kind of credential is good at a place. Raises TurnedAway."""
    if caller.kind == "account_token" and place.face != "rest":
        raise TurnedAway(HTTPStatus.FORBIDDEN, not_for_account_tokens())
    return caller


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
