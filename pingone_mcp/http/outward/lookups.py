"""Where the names of targets lead to: looked up in time, and only to where something may be sent."""

from __future__ import annotations

from functools import partial
from socket import (
    AF_UNSPEC,
    AI_ADDRCONFIG,
    AI_NUMERICHOST,
    EAI_AGAIN,
    SOCK_STREAM,
    AddressFamily,
    gaierror,
    getaddrinfo,
)
from typing import TYPE_CHECKING

import anyio
from aiohttp.abc import AbstractResolver, ResolveResult

from pingone_mcp.http.failures import NotAllowed
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from pingone_mcp.clock import Clock
    from pingone_mcp.settings.targets import TargetRules

LOOKUP_SECONDS = 5.0
"""For so long the addresses of a name are waited for."""
LOOKUPS = 32
"""Names that are looked up at once; one that was waited for in vain does not count any more."""


class CheckedNames(AbstractResolver):
    """Looks names up, and gives only what may be connected to: all of it, or nothing."""

    def __init__(self, rules: TargetRules, resolver: AbstractResolver) -> None:
        self._rules, self._resolver = rules, resolver

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(self._rules.allow_address(host, one["host"]) for one in found):
            raise NotAllowed("a name leads where nothing is sent")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class NamesOfTheSystem(AbstractResolver):
    """Looks names up as the system does, in threads that nothing else waits for.

    Whoever names a target may also be asked where it is, and not answer: aiohttp's own resolver would hold the few
    threads in which the names of everybody else are looked up.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._places = anyio.CapacityLimiter(LOOKUPS)

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        look = partial(getaddrinfo, host, port, family=family, type=SOCK_STREAM, flags=AI_ADDRCONFIG)
        with self._clock.within(LOOKUP_SECONDS):
            found = await in_thread(look, pool=self._places, abandon=True)
            return [
                ResolveResult(hostname=host, host=str(at[0]), port=port, family=kind, proto=proto, flags=AI_NUMERICHOST)
                for kind, _, proto, _, at in found
            ]
        raise gaierror(EAI_AGAIN, "no answer")

    async def close(self) -> None:
        pass
