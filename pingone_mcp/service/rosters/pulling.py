"""Pull the user list of an application from its SCIM server: nothing is replaced by what was not read whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio

from pingone_mcp.advice import spelled
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import compact
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import NotFound, Problem, Refused
from pingone_mcp.service.rosters.keeping import KeptRoster, RosterKeeping, parsed
from pingone_mcp.service.rosters.shelf import Shelves, check_name
from pingone_mcp.tasks import SingleFlight, in_thread

if TYPE_CHECKING:
    from anyio.abc import TaskGroup
    from pydantic import SecretStr

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.receiving.rosters import RosterRecord, RosterRecords

MOST_SECONDS = 40 * 60.0
"""For so long a list is read; one that takes longer was not read whole."""
AT_ONCE = 2
"""Lists of one connection that are read at once; each is in memory until it is whole."""
LONGEST_TOKEN = 8_192
_LONGEST_REASON = 500


class ReadList(Protocol):
    """What was read of a list: users as SCIM has them, how many the server says there are, and whether that is all.

    Where it is not, `reason` says why.
    """

    @property
    def users(self) -> Sequence[JsonObject]: ...
    @property
    def total(self) -> int | None: ...
    @property
    def is_whole(self) -> bool: ...
    @property
    def reason(self) -> str | None: ...


ReadUsers = Callable[[str, "SecretStr | None"], Awaitable[ReadList]]
"""Reads all users at a URL with a bearer token. Raises Problem where nothing comes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledRoster:
    """A list that was read whole and kept. `notes` say what of it was not understood or left out."""

    roster: KeptRoster
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applications:
    """How applications are asked: `may_read` says at which URLs, and `read_users` does it, in `tasks`."""

    read_users: ReadUsers
    may_read: Callable[[str], bool]
    tasks: TaskGroup


class NotPulled(Refused):
    """A pull came to nothing; the last whole list stays, and the roster says why."""

    CODE = "ROSTER_NOT_PULLED"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The roster was not pulled, so nothing of it was replaced. {reason}",
            "See that the source's URL and token are right and that the application answers, and pull it again.",
            code=self.CODE,
        )


class RosterPulls:
    """Pull rosters, each once at a time, and a few of one connection."""

    def __init__(
        self, records: RosterRecords, keeping: RosterKeeping, shelves: Shelves, applications: Applications, clock: Clock
    ) -> None:
        self._records, self._keeping, self._shelves, self._clock = records, keeping, shelves, clock
        self._read_users, self._may_read = applications.read_users, applications.may_read
        self._flights = SingleFlight(applications.tasks)
        self._places: defaultdict[str, anyio.CapacityLimiter] = defaultdict(partial(anyio.CapacityLimiter, AT_ONCE))

    async def set_source(self, connection: str, name: str, url: str, token: SecretStr | None) -> KeptRoster:
        """Let a roster be pulled from a URL, with a token; its last list stays until one was pulled.

        None keeps the token that there is for this URL; an empty one stands for none. Raises Refused for a URL that is
        not public, and for another URL without the token: it is sent nowhere but where it was given for.
        """
        check_name(name)
        if "?" in url or not self._may_read(url):
            raise _refused_url()
        _check_token(token)
        async with self._shelves.turn(connection):
            record = await self._keeping.entered(connection, name)
            if token is None and record.url != url and await self._records.token(record) is not None:
                raise Refused(
                    "The token that there is was given for another URL, and is not sent to this one.",
                    "Give the token of this URL with it; an empty one where it needs none.",
                    code="SECRET_NEEDED",
                )
            given = token if token is not None and token.get_secret_value() else None
            await self._records.set_source(connection, name, url, given, keeps_token=token is None)
        return await self._keeping.find(connection, name)

    async def pull(self, connection: str, name: str) -> PulledRoster:
        """Read the list of a roster, and put it in the place of the one before where it was read whole.

        It goes on when the caller leaves; whoever asks for the same meanwhile waits for the same. Raises NotFound,
        Refused for one without a source, and NotPulled.
        """
        record = await self._sourced(connection, name)
        return await self._flights.do((connection, name, record.url), partial(self._pull, record), lasting=True)

    async def _sourced(self, connection: str, name: str) -> RosterRecord:
        found = await self._keeping.find(connection, name)
        record = await self._records.get(connection, name)
        if found.source != "scim" or record is None or record.url is None:
            raise Refused(
                "This roster is pushed: it has no source to pull it from.",
                "Give it one (PUT /roster/{name}/source, or `pingone-mcp rosters source`), or push it.",
                code="NO_SOURCE",
            )
        return record

    async def _pull(self, record: RosterRecord) -> PulledRoster:
        began = self._clock.now()
        try:
            async with self._places[record.connection_id]:
                content = await self._read(record)
                roster = await parsed("json", content)
        except Problem as problem:
            reason = harmless(spelled(f"{problem.what} {problem.next_step}").strip())[:_LONGEST_REASON]
            await self._note_failure(record, began, reason)
            raise NotPulled(reason) from None
        async with self._shelves.turn(record.connection_id) as shelf:
            now = await self._current(record, began)
            accounts = len(roster.entries)
            kept = await self._keeping.put(shelf, now, "json", content, accounts, tried_at=began)
        return PulledRoster(roster=kept, notes=roster.notes)

    async def _read(self, record: RosterRecord) -> bytes:
        """Return the whole list as a roster in JSON, without what no roster needs. Raises Problem."""
        assert record.url is not None
        if not self._may_read(record.url):
            raise _refused_url()
        token = await self._records.token(record)
        found: ReadList | None = None
        with self._clock.within(MOST_SECONDS):
            found = await self._read_users(record.url, token)
        if found is None:
            raise Problem(f"The list was not read within {MOST_SECONDS / 60:g} minutes.")
        if not found.is_whole:
            raise Problem(found.reason or "The list was not read whole.")
        if found.total is not None and len(found.users) < found.total:
            raise Problem(f"Of {found.total:,} users {len(found.users):,} were read.")
        return await in_thread(_as_roster, found.users, pool="answers")

    async def _current(self, record: RosterRecord, began: datetime) -> RosterRecord:
        """Return the roster as it is now. Raises Refused where a list of this pull is not wanted any more."""
        now = await self._records.get(record.connection_id, record.name)
        if now is None:
            raise NotFound("This roster was removed while it was pulled.", code="NO_ROSTER")
        if (now.url, now.created_at) != (record.url, record.created_at):
            raise Refused(
                "The source of this roster was changed while it was pulled.", "Pull it again.", code="SOURCE_CHANGED"
            )
        if now.tried_at is not None and now.tried_at > began and now.reason is None:
            raise Refused(
                "A pull that began later has brought a newer list already.", "List the roster.", code="NEWER_LIST"
            )
        return now

    async def _note_failure(self, record: RosterRecord, began: datetime, reason: str) -> None:
        async with self._shelves.turn(record.connection_id):
            try:
                now = await self._current(record, began)
            except Problem:
                return
            await self._records.note_failure(now, began, reason)


def _as_roster(users: Sequence[JsonObject]) -> bytes:
    from pingone_mcp.reports.rosters.scim import members_of  # noqa: PLC0415 - hardly anybody pulls one

    return compact([members_of(user) for user in users]).encode(errors="replace")


def _check_token(token: SecretStr | None) -> None:
    """Raise Refused for what cannot stand in a header."""
    text = token.get_secret_value() if token is not None else ""
    if len(text) > LONGEST_TOKEN or not all("!" <= letter <= "~" for letter in text):
        raise Refused(
            f"The token is no bearer token: it is longer than {LONGEST_TOKEN:,} characters, or holds a blank or a letter "
            "that is none of ASCII.",
            "Copy it again.",
            code="BAD_TOKEN",
        )


def _refused_url() -> Refused:
    return Refused(
        "`url` is no https URL of a public host: it is written otherwise, or leads to this machine or a private network.",
        "Give the URL of the list, such as https://app.example.com/scim/v2/Users, without user name, query "
        "and fragment; the person who runs this server allows private hosts by their names.",
        code="TARGET_REFUSED",
    )
