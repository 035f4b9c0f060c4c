"""What one connection answers with: its directory, its local copy, and what answers about them need."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.directory.native import NativeApi
from pingone_mcp.directory.paging.cursor import CursorSeal
from pingone_mcp.directory.provider import Directory
from pingone_mcp.directory.subscriptions import Subscriptions
from pingone_mcp.errors import Refused

if TYPE_CHECKING:  # start-up: a server says what it offers before it loads a database
    from pingone_mcp.replica.asking.directory import ReplicaDirectory
    from pingone_mcp.replica.replica import Replica
    from pingone_mcp.service.files.exports import Exports
    from pingone_mcp.service.files.role_rules import RuleFiles
    from pingone_mcp.service.files.rosters import Rosters
    from pingone_mcp.service.writes import WriteRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A directory, its local copy, and what answers about them need: the seal of cursors, the budget of one answer.

    `native` is the provider's own API, where it has one, `copy` the local copy as a directory, `rules` where those of
    map_roles may be, `application` the id of the client that it asks as.
    `sync_seconds` lie between two syncs in the background (None: there are none). `writes` is None where there are to
    be none. `subscriptions` are what the provider was asked to send, where it sends events.
    """

    directory: Directory
    native: NativeApi | None
    replica: Replica
    copy: ReplicaDirectory
    cursors: CursorSeal
    exports: Exports
    rosters: Rosters
    rules: RuleFiles
    application: str | None
    answer_characters: int
    answer_seconds: float
    sync_seconds: float | None = None
    writes: WriteRules | None = None
    subscriptions: Subscriptions | None = None

    def native_api(self) -> NativeApi:
        """Return the provider's own API. Raises Refused where it has none."""
        if self.native is None:
            raise Refused(
                "The provider of this directory has no API of its own.", "Ask the other tools.", code="NO_NATIVE_API"
            )
        return self.native


OpenBackend = Callable[[], AbstractAsyncContextManager[Backend]]
