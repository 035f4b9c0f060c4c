"""What a caller does with the connections it reaches: look at them, link, change, check, remove, give tokens."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue

from pingone_mcp.advice import spelled
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import NoSuchConnection, Refused, Unconfigured
from pingone_mcp.service.callers import LacksScope, Permission
from pingone_mcp.service.fleet.cursors import ListAsked, ListCursors, Paged
from pingone_mcp.service.fleet.linking import CannotLink, LinkRequest

if TYPE_CHECKING:
    from pydantic import SecretStr

    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.control.tokens import AccountToken
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.checks import Step
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.fleet.linking import Linking

SWITCHES = frozenset({"allow_writes", "allow_production_writes"})
"""Settings that let a connection write: who gives them may write."""
TOKEN_PERMISSIONS: frozenset[Permission] = frozenset(
    {"directory.read", "directory.sync", "directory.write", "connections.manage"}
)
"""What the token of one connection may be good for."""


class WrongSettings(Refused):
    """Values make no connection; `findings` say of each which, and why."""

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__(
            f"These values make no connection. {' '.join(findings)}",
            "Mend them, and send them again.",
            code="WRONG_SETTINGS",
        )
        self.findings = findings


class DoesNotWork(CannotLink):
    """A connection that is there does not work any more."""

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__(findings)
        self.what = "This connection does not work. " + " ".join(findings)
        self.next_step = "Mend that, or give it other credentials."


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """What is changed of a connection; None leaves it as it is. `values` are settings, the secret ones among them."""

    name: str | None = None
    is_paused: bool | None = None
    values: Mapping[str, JsonValue] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkInvitation:
    """Whom a link token is for: a customer, or one who has a connection already, which gets new credentials."""

    tenant: str | None = None
    connection: str | None = None
    redirect_uri: str | None = None


class CallerAccounts:
    """The use cases. Whoever does not reach a connection hears NoSuchConnection, as of one that there is not."""

    def __init__(self, control: ControlData, fleet: Fleet, linking: Linking) -> None:
        self._control, self._fleet, self._linking = control, fleet, linking
        self._cursors = ListCursors(control.derive("cursors of lists"), "connections")

    async def listed(self, asked: ListAsked) -> Paged[LinkedConnection]:
        """Return the connections that a caller reaches, the oldest first; `chosen` may name a `tenant`."""
        after = self._cursors.after(asked)
        tenant = (asked.chosen or {}).get("tenant")
        found = [
            one
            for one in await self._fleet.reached(asked.caller)
            if (tenant is None or one.tenant == tenant) and (after is None or _place(one) > after)
        ]
        page, more = found[: asked.limit], len(found) > asked.limit
        return Paged(items=page, next_cursor=self._cursors.behind(asked, _place(page[-1])) if more else None)

    async def people(self, connections: Collection[LinkedConnection]) -> dict[str, int]:
        """Return how many users the local copies of these connections have, by id, as their last syncs counted them.

        A connection without such a sync is not among them.
        """
        counts = await self._control.sync_runs.latest_counts([one.id for one in connections])
        return {identity: of["users"] for identity, of in counts.items() if "users" in of}

    async def find(self, caller: Caller, connection: str | None) -> LinkedConnection:
        """Return a connection; None names the only one that is reached. Raises NoSuchConnection, and Refused."""
        return await self._fleet.find(caller, connection)

    async def connect(self, caller: Caller, request: LinkRequest) -> LinkedConnection:
        """Link a connection, of the caller's own tenant where it has one, once its check-up says that it works.

        Raises WrongSettings, CannotLink, NameTaken, and Refused for a caller that would not reach it.
        """
        tenant = self.tenant_for(caller, request.tenant)
        self._check(caller, request.values, {})
        try:
            return await self._linking.connect(
                LinkRequest(values=request.values, name=request.name, tenant=tenant), _unheard
            )
        except Unconfigured as problem:
            raise _wrong(problem) from None

    async def change(self, caller: Caller, connection: str, change: AccountChange) -> LinkedConnection:
        """Change a connection: settings last, once they work. Raises as `connect` does."""
        linked = await self.find(caller, connection)
        if change.name is not None and change.name != linked.name:
            _check_whole(caller, "names connections")
        if change.values is not None:
            self._check(caller, change.values, linked.settings)
            try:
                linked = await self._linking.reconnect(linked.id, change.values, _unheard)
            except Unconfigured as problem:
                raise _wrong(problem) from None
        if change.name is not None and change.name != linked.name:
            linked = await self._linking.rename(linked.id, change.name)
        if change.is_paused is not None and change.is_paused != linked.is_paused:
            act = self._linking.pause if change.is_paused else self._linking.resume
            linked = await act(linked.id)
        return linked

    async def remove(self, caller: Caller, connection: str) -> LinkedConnection:
        """Remove a connection with all that is kept of it; return what it was."""
        linked = await self.find(caller, connection)
        await self._linking.remove(linked.id)
        return linked

    async def remove_several(self, caller: Caller, connections: Collection[str]) -> None:
        """Remove connections with all that is kept of them, once all are found. Raises NoSuchConnection, Refused."""
        found = {(await self.find(caller, one)).id for one in connections}
        # What cannot be removed is refused before anything is.
        for identity in sorted(found, key=lambda one: one != DEFAULT):
            await self._linking.remove(identity)

    async def check(self, caller: Caller, connection: str) -> LinkedConnection:
        """Check a connection again, and note what came of it. Raises CannotLink where it does not work."""
        linked = await self.find(caller, connection)
        steps: list[Step] = []
        checked = await self._linking.check(linked.id, steps.append)
        if lacking := [step for step in steps if step.needed and not step.ok]:
            raise DoesNotWork(tuple(f"{step.step}: {step.text}" for step in lacking))
        return checked

    async def account_token(
        self, caller: Caller, connection: str, wanted: Collection[Permission] | None = None
    ) -> tuple[SecretStr, AccountToken]:
        """Give a token for one connection, for fifteen minutes, that may do no more than the caller.

        None wants all that it can have. Raises Refused for what the caller may not do itself.
        """
        linked = await self.find(caller, connection)
        able = caller.permissions & TOKEN_PERMISSIONS
        if lacking := frozenset(wanted or ()) - able:
            raise LacksScope(
                frozenset(wanted or ()),
                f"A token of this credential cannot have: {', '.join(sorted(lacking))}.",
                "Leave that out, or use a credential that has these scopes.",
            )
        try:
            return await self._control.tokens.create_account(linked.id, frozenset(wanted) if wanted else able)
        except LookupError:
            raise NoSuchConnection from None

    async def link_token(self, caller: Caller, invitation: LinkInvitation) -> SecretStr:
        """Give a link token, for one use within seven days. Raises NoSuchConnection, and Refused."""
        if invitation.connection is None:
            tenant = self.tenant_for(caller, invitation.tenant)
            if tenant is None:
                raise Refused("A link token is for a customer.", "Name it with `tenant_id`.", code="WHICH_TENANT")
        else:
            linked = await self.find(caller, invitation.connection)
            tenant = linked.tenant or ""
            if invitation.tenant not in (None, linked.tenant):
                raise Refused(
                    "This connection is none of that tenant's.",
                    "Name the connection alone, to reconnect it; or the tenant alone, for a new one.",
                    code="WHICH_TENANT",
                )
        try:
            return await self._control.tokens.create_link(
                tenant=tenant, connection_id=invitation.connection, redirect_uri=invitation.redirect_uri
            )
        except LookupError:
            raise NoSuchConnection from None

    def tenant_for(self, caller: Caller, wanted: str | None) -> str | None:
        """Return the tenant of what a caller adds. Raises Refused for a tenant, or a caller, that cannot be."""
        _check_whole(caller, "adds connections")
        if caller.tenant is not None and wanted not in (None, caller.tenant):
            raise Refused(
                "This credential is one of a single tenant, and not of that.",
                "Leave out `tenant_id`, or name the tenant that the credential is for.",
                code="ANOTHER_TENANT",
            )
        return caller.tenant or wanted

    def _check(self, caller: Caller, values: Mapping[str, JsonValue], present: Mapping[str, JsonValue]) -> None:
        """Raise Refused for settings that are not this caller's to give."""
        _check_switches(caller, values)
        try:
            self._linking.check_given(values, present)
        except Refused as problem:
            raise Refused(
                spelled(problem.what, _member), spelled(problem.next_step, _member), code=problem.code
            ) from None


def _check_whole(caller: Caller, does: str) -> None:
    """Raise Refused for a caller that is bound to single connections: names of others are none of its business."""
    if caller.connections is not None:
        raise Refused(
            f"This credential is one of single connections, and none that {does}.",
            "Use one of a whole tenant, or of all connections.",
            code="CREDENTIAL_TOO_NARROW",
        )


def needed_for(values: Mapping[str, JsonValue]) -> frozenset[Permission]:
    """Return the permissions that somebody needs to give a connection these settings, beyond managing it."""
    return frozenset({"directory.write"} if any(values.get(name) for name in SWITCHES) else ())


def _check_switches(caller: Caller, values: Mapping[str, JsonValue]) -> None:
    """Raise Refused where somebody lets a connection write who may not."""
    if caller.lacks(needed := needed_for(values)):
        raise LacksScope(
            needed,
            "Only a credential that may write lets a connection write; this needs: directory.write.",
            f"Leave out {' and '.join(sorted(SWITCHES))}, or use a credential that has this scope.",
        )


def _wrong(problem: Unconfigured) -> WrongSettings:
    return WrongSettings(tuple(spelled(line, _member) for line in problem.wrong) or (spelled(problem.what, _member),))


def _member(name: str, _: str | None = None) -> str:
    """Spell a setting as the member of a request that holds it."""
    return f"`context.{name}`"


def _place(linked: LinkedConnection) -> str:
    """Return where a connection stands among all: a text that sorts as `Fleet.reached` does (times are in UTC)."""
    return f"{linked.created_at.isoformat(timespec='microseconds')} {linked.id}"


def _unheard(_: Step) -> None:
    """Hear nothing while a check-up goes on: what fails is in what it raises."""
