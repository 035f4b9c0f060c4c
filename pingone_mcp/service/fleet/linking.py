"""Link connections and look after them: nothing is kept before it works, and nothing is left of what is removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue, SecretStr

from pingone_mcp.advice import setting, spelled
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import NoSuchConnection, Problem, Refused
from pingone_mcp.service.checks import BrokenOff, Checkup, Heard, SeenPlace, Step

if TYPE_CHECKING:
    from pingone_mcp.control.linked import LinkedConnection, LinkedConnections, LinkStatus


LONGEST_LABEL = 200
"""Characters of what somebody calls a connection, a customer or a key."""


class CannotLink(Refused):
    """A check-up says that a connection would not work; `findings` are its sentences."""

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__(
            "This connection does not work, so nothing was kept. " + " ".join(findings),
            "Mend that, and connect again.",
            code="CONNECTION_DOES_NOT_WORK",
        )
        self.findings = findings


class MadeByVariables(Refused):
    """What is to be done to a linked connection cannot be done to that of the environment variables."""

    def __init__(self) -> None:
        super().__init__(
            f"The connection `{DEFAULT}` is made by the variables that `serve` is started with.",
            "Change those, or start it without them; a connection that is linked has another name.",
            code="MADE_BY_VARIABLES",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRequest:
    """What is to be linked: settings by their names, the secret ones among them, for a customer (None: nobody)."""

    values: Mapping[str, JsonValue] = field(repr=False)
    name: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Values of a connection, once they have been read: what to call it where nobody says, and what is kept of them.

    `provider` is the name of that which answers. `settings` may be kept in the clear, `secrets` are sealed. `checkup`
    opens a check-up of what they describe, and `places` reads what could be served by the same credentials.
    """

    name: str
    provider: str
    settings: Mapping[str, JsonValue]
    secrets: Mapping[str, SecretStr]
    checkup: Callable[[], Checkup]
    places: Callable[[], Awaitable[tuple[SeenPlace, ...]]]


Add = Callable[[], Awaitable["LinkedConnection"]]
Keeping = Callable[[Add], Awaitable["LinkedConnection"]]
"""Keeps a connection that works, by what it is given, together with something else: both, or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """What linking needs of whoever knows providers.

    `check_given` raises Refused for values that are not for a caller to give, beside those that are there. `prepare`
    reads values: raises Unconfigured, and Refused for what a linked connection has no setting for. `condemn` marks the
    files of a connection that is being removed; `forget` removes every one, and says what there was. `environment` is
    what the variables describe, if they describe a connection.
    """

    check_given: Callable[[Mapping[str, JsonValue], Mapping[str, JsonValue]], None]
    prepare: Callable[[Mapping[str, JsonValue]], Prepared]
    condemn: Callable[[str], Awaitable[None]]
    forget: Callable[[str], Awaitable[tuple[str, ...]]]
    environment: Prepared | None = None


class Linking:
    """The use cases of linked connections. `closed` ends what a process serves of one that is paused or removed."""

    def __init__(
        self,
        linked: LinkedConnections,
        providers: Providers,
        closed: Callable[[str], Awaitable[None]],
    ) -> None:
        self._linked = linked
        self._providers = providers
        self._closed = closed

    def check_given(self, values: Mapping[str, JsonValue], present: Mapping[str, JsonValue]) -> None:
        """Raise Refused for values that a caller may not give, beside those that are there already."""
        self._providers.check_given(values, present)

    async def prepared(self, values: Mapping[str, JsonValue], connection: str | None = None) -> Prepared:
        """Read values, in the place of those of a connection where one is named; nothing is asked or kept.

        Raises Unconfigured, Refused, and NoSuchConnection.
        """
        present = {} if connection is None else (await self._found(connection))[1]
        return self._providers.prepare({**present, **values})

    async def connect(self, request: LinkRequest, heard: Heard, keeping: Keeping | None = None) -> LinkedConnection:
        """Link a connection once its check-up says that it works.

        Raises Unconfigured for settings, CannotLink, NameTaken (control.linked), and MadeByVariables for the name that
        their connection has.
        """
        prepared = self._providers.prepare(request.values)
        name = request.name or prepared.name
        _not_default(name)
        check_label(name, "The name of a connection")
        if request.tenant is not None:
            check_label(request.tenant, "The name of a customer")
        await self._linked.check_free(name, request.tenant)  # before a person waits for the check-up
        await _pass(prepared, heard)

        async def add() -> LinkedConnection:
            return await self._linked.add(
                name=name,
                tenant=request.tenant,
                provider=prepared.provider,
                settings=prepared.settings,
                credentials=prepared.secrets,
                status="active",
            )

        return await (add() if keeping is None else keeping(add))

    async def reconnect(
        self, connection: str, values: Mapping[str, JsonValue], heard: Heard, keeping: Keeping | None = None
    ) -> LinkedConnection:
        """Put values in the place of a connection's own, once they work; the id stays.

        Raises as `connect` does, and ChangedMeanwhile (control.linked) where what was checked is not what there is now.
        """
        _not_default(connection)
        linked, present = await self._found(connection)
        prepared = self._providers.prepare({**present, **values})
        await _pass(prepared, heard)

        async def replace() -> LinkedConnection:
            replaced = await self._linked.replace_credentials(
                connection, prepared.secrets, prepared.settings, checked=linked
            )
            return _there(replaced)

        return await (replace() if keeping is None else keeping(replace))

    async def check(self, connection: str, heard: Heard) -> LinkedConnection:
        """Check a connection, and note what came of it as its status. Raises NoSuchConnection.

        `needs_reauth`: its credentials are not accepted. `validation_error`: they are, and lack a right that is needed.
        Where no answer came, nothing is known of its credentials, and the status stays what it was.
        """
        linked, prepared = await self._prepared(connection)
        lacking = await check_up(prepared, heard)
        if not lacking:
            return _there(await self._linked.set_status(connection, "active", epoch=linked.epoch))
        if answered := [step for step in lacking if step.answered]:
            status: LinkStatus = "needs_reauth" if any(step.signs_in for step in answered) else "validation_error"
            reason = spelled(" ".join(_sentences(lacking)))
            return _there(await self._linked.set_status(connection, status, reason, epoch=linked.epoch))
        return _there(await self._linked.get(connection))

    async def rename(self, connection: str, name: str) -> LinkedConnection:
        """Give a connection another name. Raises NoSuchConnection, NameTaken, MadeByVariables."""
        _not_default(connection)
        _not_default(name)
        check_label(name, "The name of a connection")
        return _there(await self._linked.update(connection, name=name))

    async def pause(self, connection: str) -> LinkedConnection:
        """Let nothing be asked for a connection until it is resumed. Raises NoSuchConnection."""
        paused = _there(await self._linked.update(connection, is_paused=True))
        await self._closed(connection)
        return paused

    async def resume(self, connection: str) -> LinkedConnection:
        """Let a connection be served again. Raises NoSuchConnection."""
        return _there(await self._linked.update(connection, is_paused=False))

    async def remove(self, connection: str) -> tuple[str, ...]:
        """Remove a connection, its secrets and all its files; return what there was.

        The row goes first: whatever ends this in the middle, no connection is left without its files. Files that are
        left without a connection have been marked, and are removed by the next process that opens control data. Raises
        NoSuchConnection, MadeByVariables.
        """
        _not_default(connection)
        _there(await self._linked.get(connection))
        await self._providers.condemn(connection)
        if not await self._linked.remove(connection):
            raise NoSuchConnection
        await self._closed(connection)
        return ("its credentials", *await self._providers.forget(connection))

    async def _prepared(self, connection: str) -> tuple[LinkedConnection, Prepared]:
        """Return a connection, and what there is to be checked of it."""
        linked, values = await self._found(connection)
        if connection == DEFAULT and self._providers.environment is not None:
            return linked, self._providers.environment
        return linked, self._providers.prepare(values)

    async def _found(self, connection: str) -> tuple[LinkedConnection, dict[str, JsonValue]]:
        """Return a connection and all its values, the secret ones too."""
        found = await self._linked.with_credentials(connection)
        if found is None:
            raise NoSuchConnection
        linked, credentials = found
        secrets = {name: value.get_secret_value() for name, value in credentials.items()}
        return linked, {**linked.settings, **secrets}


async def check_up(prepared: Prepared, heard: Heard) -> list[Step]:
    """Check values that have been read; return what is needed and does not work."""
    lacking: list[Step] = []

    def hear(step: Step) -> None:
        heard(step)
        if step.needed and not step.ok:
            lacking.append(step)

    try:
        async with prepared.checkup() as steps:
            async for step in steps:
                hear(step)
    except Problem as problem:
        hear(BrokenOff(text=problem.text(setting)))
    return lacking


async def _pass(prepared: Prepared, heard: Heard) -> None:
    """Raise CannotLink unless all that is needed works."""
    if lacking := await check_up(prepared, heard):
        raise CannotLink(_sentences(lacking))


def _sentences(lacking: list[Step]) -> tuple[str, ...]:
    return tuple(f"{step.step}: {step.text}" for step in lacking)


def _not_default(reference: str | None) -> None:
    """Raise MadeByVariables for the connection of the variables, and for another one that would have its name."""
    if reference == DEFAULT:
        raise MadeByVariables


def check_label(text: str, what: str) -> None:
    """Raise Refused for what somebody calls something, where it is no name: empty, very long, or no text."""
    is_text = "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
    if not text.strip() or len(text) > LONGEST_LABEL or not is_text:
        raise Refused(
            f"{what} is a text of 1 to {LONGEST_LABEL} characters, not all of them blanks.",
            "Choose another one.",
            code="NO_NAME",
        )


def _there(found: LinkedConnection | None) -> LinkedConnection:
    if found is None:
        raise NoSuchConnection
    return found
