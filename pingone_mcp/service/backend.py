"""What one connection answers with: its directory, its local copy, and what answers about them need."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pingone_mcp.advice import setting
from pingone_mcp.directory.cursor import CursorSeal
from pingone_mcp.directory.native import NativeApi
from pingone_mcp.directory.provider import Directory
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.reports.roles import MAX_BYTES, Rules, parse_rules
from pingone_mcp.service.given_files import read_whole
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:  # start-up: a server says what it offers before it loads a database
    from pingone_mcp.replica.asking.directory import ReplicaDirectory
    from pingone_mcp.replica.replica import Replica
    from pingone_mcp.service.exports import Exports
    from pingone_mcp.service.rosters import Rosters
    from pingone_mcp.service.writes import WriteRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A directory, its local copy, and what answers about them need: the seal of cursors, the budget of one answer.

    `native` is the provider's own API, where it has one, `copy` the local copy as a directory, `roles_file` the rules
    of map_roles. `sync_seconds` lie between two syncs in the background (None: there are none). `writes` is None where
    there are to be none.
    """

    directory: Directory
    native: NativeApi | None
    replica: Replica
    copy: ReplicaDirectory
    cursors: CursorSeal
    exports: Exports
    rosters: Rosters
    roles_file: Path | None
    answer_characters: int
    answer_seconds: float
    sync_seconds: float | None = None
    writes: WriteRules | None = None

    def native_api(self) -> NativeApi:
        """Return the provider's own API. Raises Refused where it has none."""
        if self.native is None:
            raise Refused(
                "The provider of this directory has no API of its own.", "Ask the other tools.", code="NO_NATIVE_API"
            )
        return self.native

    async def exact_directory(self, *, goes_on: bool) -> Directory:
        """Return the local copy while it is fresh, which knows more than PingOne tells live, else PingOne.

        What goes on from a cursor goes on where it began: the copy finds that out.
        """
        return self.copy if goes_on or await self.copy_is_fresh() else self.directory

    async def copy_is_fresh(self) -> bool:
        """Say whether there is a local copy that is young enough to answer beside PingOne."""
        try:
            return await self.copy.fresh(self.replica.max_age.total_seconds())
        except Problem:  # a copy that cannot be read is none
            return False

    async def rules(self) -> Rules:
        """Return the rules of map_roles as they are now. Raises Refused where there are none, or wrong ones."""
        if self.roles_file is None:
            raise Refused(
                "No rules for roles are configured.",
                f"The person who runs this server sets {setting('roles_file')} (docs/roles.md tells how to write it).",
                code="NO_RULES",
            )
        return await in_thread(_read_rules, self.roles_file, pool="disk")


def _read_rules(path: Path) -> Rules:
    try:
        return parse_rules(read_whole(path, MAX_BYTES, what=f"The file that {setting('roles_file')} names").decode())
    except FileNotFoundError:
        raise Refused(f"There is no file where {setting('roles_file')} says.", code="NO_RULES") from None
    except (OSError, UnicodeDecodeError):
        raise Refused(
            f"The file that {setting('roles_file')} names cannot be read as a text in UTF-8.", code="NO_RULES"
        ) from None


OpenBackend = Callable[[], AbstractAsyncContextManager[Backend]]
