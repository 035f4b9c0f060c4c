"""What verifies credentials, opened for the life of a process."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from pingone_mcp.clock import Clock
from pingone_mcp.control.control import ControlData
from pingone_mcp.tasks import SingleFlight, background
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.authentication.access_tokens import AccessTokens, TokenRules
from pingone_mcp.web.authentication.authenticator import Authenticator, Failures
from pingone_mcp.web.authentication.local_credentials import local_credentials
from pingone_mcp.web.authentication.signing_keys import SigningKeys


@asynccontextmanager
async def open_authenticator(
    control: ControlData, address: PublicAddress, rules: TokenRules | None, clock: Clock
) -> AsyncIterator[Authenticator]:
    """Give what verifies our own credentials and, by `rules` (None: there are none), access tokens.

    Nothing is asked of the authorization server before the first token comes.
    """
    local = local_credentials(control.api_keys.verify, control.tokens.account)
    failures = Failures(clock)
    if rules is None:
        yield Authenticator(local=local, failures=failures)
        return
    trusted = ssl.create_default_context()  # what the machine trusts, and SSL_CERT_FILE
    async with httpx.AsyncClient(verify=trusted) as client, background() as tasks:
        keys = SigningKeys(rules.issuer, client, SingleFlight(tasks), clock)
        tokens = AccessTokens(rules=rules, address=address, keys=keys, clock=clock)
        yield Authenticator(local=local, failures=failures, access_tokens=tokens)
