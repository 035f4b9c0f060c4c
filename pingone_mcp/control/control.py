"""All control data, opened together: one database, and one key ring for what is sealed in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from pingone_mcp.advice import setting
from pingone_mcp.clock import Clock
from pingone_mcp.control.announcing.announcements import Announcements
from pingone_mcp.control.announcing.sent_changes import SentChanges
from pingone_mcp.control.api_keys import ApiKeys
from pingone_mcp.control.database import Database, open_postgres, open_sqlite
from pingone_mcp.control.idempotency import Idempotency
from pingone_mcp.control.inbox import Inbox
from pingone_mcp.control.key_ring import KeyFile
from pingone_mcp.control.linked import LinkedConnections
from pingone_mcp.control.outbox import Outbox
from pingone_mcp.control.receiving.hook_secrets import HookSecrets
from pingone_mcp.control.receiving.rosters import RosterRecords
from pingone_mcp.control.sealing import Seals, open_seals
from pingone_mcp.control.sync_runs import SyncRuns
from pingone_mcp.control.tokens import CustomerTokens
from pingone_mcp.control.watching.schedules import ScheduleRecords
from pingone_mcp.control.webhooks import Webhooks
from pingone_mcp.errors import Unconfigured
from pingone_mcp.private_files import NotPrivate, PrivateFolder

_FOLDER = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlace:
    """Where control data are: in a folder of ours below the state folder, but for what a person puts elsewhere."""

    folder: Path
    database_url: SecretStr | None = field(default=None)
    key_file: Path | None = None

    @property
    def database_path(self) -> Path:
        return self.folder / _FOLDER / "control.db"

    @property
    def key_path(self) -> Path:
        return self.key_file or self.folder / _FOLDER / "keys"


class ControlData:
    """Everything on one database and ring. Made by `open_control`."""

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self.database, self.seals, self.clock = database, seals, clock
        self.webhooks = Webhooks(database, seals, clock)
        self.outbox = Outbox(database, seals, self.webhooks, clock)
        announcements = Announcements(database, self.outbox)
        self.connections = LinkedConnections(database, seals, announcements, clock)
        self.api_keys = ApiKeys(database, seals, clock)
        self.tokens = CustomerTokens(database, seals, clock)
        self.sync_runs = SyncRuns(database, announcements, clock)
        self.idempotency = Idempotency(database, seals, clock)
        self.inbox = Inbox(database, seals, clock)
        self.hook_secrets = HookSecrets(database, seals, clock)
        self.rosters = RosterRecords(database, seals, clock)
        self.sent_changes = SentChanges(database)
        self.schedules = ScheduleRecords(database, seals, clock)

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Give a transaction that all which is called inside joins: kept as a whole or not at all.

        Inside, wait for nothing but control data.
        """
        return self.database.write()

    def derive(self, info: str) -> bytes:
        """Return 32 bytes for one use, named by `info`, the same for as long as these data live."""
        return self.seals.derive(info)

    async def rotate_keys(self, *, forget_old: bool = False) -> int:
        """Wrap all data keys by a new key of the ring; return how many (see `Seals.rotate`)."""
        return await self.seals.rotate(forget_old=forget_old)


@asynccontextmanager
async def open_control(place: ControlPlace, clock: Clock | None = None) -> AsyncIterator[ControlData]:
    """Open control data, made where there are none, for the length of a block. Raises Unconfigured, with what to do."""
    _make_folder(place.folder)
    url = place.database_url
    opening = open_sqlite(place.database_path) if url is None else open_postgres(url)
    async with opening as database:
        yield ControlData(database, await open_seals(database, KeyFile(place.key_path)), clock or Clock())


def _make_folder(root: Path) -> None:
    try:
        PrivateFolder(root, _FOLDER).make()
    except NotPrivate as error:
        raise Unconfigured(
            f"The control data are not safe: {error.strerror}.",
            f"Remove that, or name another folder with {setting('state_dir')}.",
            code="NOT_PRIVATE",
        ) from None
    except OSError as error:
        raise Unconfigured(
            f"The folder {root} cannot be used for control data: {error.strerror}.",
            f"Name one that can be written to with {setting('state_dir')}.",
        ) from None
