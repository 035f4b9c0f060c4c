"""The hooks of connections at their providers: entered on request, and compared where one is expected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pingone_mcp.advice import setting
from pingone_mcp.current_connection import working_for
from pingone_mcp.directory.subscriptions import WantedSubscription
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.service.fleet.hook_form import HookPlace, header_of, path_of
from pingone_mcp.service.fleet.subscribing.comparing import ComparedHook, compare_hooks
from pingone_mcp.service.fleet.subscribing.making import HookPlan, Writing, plan_hooks
from pingone_mcp.service.questions import Addressee

if TYPE_CHECKING:
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.directory.subscriptions import Subscriptions
    from pingone_mcp.service.backend import Backend, OpenBackend
    from pingone_mcp.service.checks import Heard

_PROGRAM = "pingone-mcp connections hook"


class HookSubscribing:
    """What can be done about the hooks of one set of control data. `person` names who does it, for the record."""

    def __init__(
        self,
        control: ControlData,
        place: HookPlace,
        backends: Callable[[LinkedConnection], OpenBackend],
        person: str,
    ) -> None:
        self._control, self._place, self._backends, self._person = control, place, backends, person

    async def check(self, linked: LinkedConnection, heard: Heard) -> None:
        """Compare what the provider was asked to send with what is needed, where a hook is expected.

        One is, where people have said by which URL this is reached, a secret was made, or events have come.
        """
        secret = await self._control.hook_secrets.known(linked.id)
        is_expected = self._place.is_public or secret is not None
        if not is_expected and await self._control.inbox.last_received_at(linked.id) is None:
            return
        wanted = WantedSubscription(
            name=_name(linked),
            path=path_of(linked.id),
            url=self._place.base + path_of(linked.id) if self._place.is_public else None,
            headers=header_of(secret) if secret is not None else {},
        )
        try:
            async with self._opened(linked) as backend:
                if backend.subscriptions is not None:
                    async for step in compare_hooks(backend.subscriptions, wanted):
                        heard(step)
        except Problem as problem:
            heard(ComparedHook(step="hook", ok=False, text=f"It cannot be compared. {problem.text(setting)}"))

    @asynccontextmanager
    async def planned(self, linked: LinkedConnection) -> AsyncIterator[HookPlan]:
        """Give what is to be entered or changed at the provider; it can be carried out inside the block.

        The secret is made where there is none. Raises Refused where the provider could not reach this, or nothing may
        be written, and Problem where its environments cannot be read.
        """
        if not self._place.is_reachable:
            raise Refused(
                f"PingOne sends to public https addresses, and {setting('public_url')} names none, so nothing was made.",
                "Set it to the address by which PingOne reaches `serve`, such as https://directory.example.com.",
                code="NO_PUBLIC_URL",
            )
        async with self._opened(linked) as backend:
            subscriptions = _subscriptions(backend)
            if backend.writes is None:
                raise Refused(
                    "Writes are off for this connection, so nothing was made.",
                    f"Allow them for this one command with {setting('allow_writes', '1')} in its environment, and "
                    f"{setting('allow_production_writes', '1')} beside it where an environment is not of type SANDBOX; "
                    "or enter what `pingone-mcp connections hook C` prints.",
                    code="WRITES_OFF",
                )
            addressee = Addressee(connection=linked.id, client=(_PROGRAM, ""), principal=self._person)
            writing = Writing(native=backend.native_api(), rules=backend.writes, addressee=addressee)
            wanted = WantedSubscription(
                name=_name(linked),
                path=path_of(linked.id),
                url=self._place.base + path_of(linked.id),
                headers=header_of(await self._control.hook_secrets.get(linked.id)),
            )
            yield await plan_hooks(subscriptions, wanted, writing)

    @asynccontextmanager
    async def _opened(self, linked: LinkedConnection) -> AsyncIterator[Backend]:
        with working_for(linked.id):
            async with self._backends(linked)() as backend:
                yield backend


def _subscriptions(backend: Backend) -> Subscriptions:
    if backend.subscriptions is None:
        raise Refused("The provider of this directory sends no events.", code="NO_SUBSCRIPTIONS")
    return backend.subscriptions


def _name(linked: LinkedConnection) -> str:
    return f"pingone-mcp: {linked.name}"
