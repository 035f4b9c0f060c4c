"""The user lists of applications that a person has put into a folder: a model names one, and never a path."""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pingone_mcp.advice import setting, spelled
from pingone_mcp.directory.text import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.private_files import ANOTHER_CACHE, NotPrivate, PrivateFolder
from pingone_mcp.reports.drift import Drift
from pingone_mcp.reports.roster import MAX_BYTES, Roster, RosterKind, parse_roster
from pingone_mcp.reports.since_last import Changes, kept, since
from pingone_mcp.service.given_files import read_whole

_KINDS: dict[str, RosterKind] = {".csv": "csv", ".json": "json"}
_LISTED = 20
_LONGEST_LINE = 1024 * 1024  # of what is kept of a check
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rosters:
    """The rosters in `folder` (None: there is none), and what the last check of each found, in `memory`."""

    folder: Path | None
    memory: PrivateFolder

    def names(self) -> tuple[str, ...]:
        """Return the names that may be asked for: of the files in the folder itself, without their ending."""
        return tuple(sorted(self._files()))

    def find(self, name: str) -> RosterFile:
        """Return a roster, not read yet. Raises Refused, with the names that there are, for any other name."""
        path = self._files().get(name)
        if path is None:
            raise self.unknown()
        return open_roster(path)

    def since_last(self, name: str, drift: Drift) -> Changes | None:
        """Return what is new since the last check of a roster, and keep this one for the next.

        None when there was none, or none to compare with: where it cannot be kept, that is so next time. A check that
        compared nobody is no check.
        """
        if drift.compared_nobody:
            return None
        remembered = self._remembered(name)
        try:
            with io.TextIOWrapper(self.memory.open(remembered), encoding="utf-8") as file:
                changes = since(iter(partial(file.readline, _LONGEST_LINE), ""), drift)
        except (OSError, ValueError, Refused):
            changes = None
        try:
            self.memory.write(remembered, (line.encode() for line in kept(drift)))
        except OSError as error:
            advice = f". {spelled(ANOTHER_CACHE)}" if isinstance(error, NotPrivate) else ""
            _logger.warning("What this check found is not kept for the next one: %s%s", error.strerror, advice)
        return changes

    def _files(self) -> dict[str, Path]:
        if self.folder is None:
            return {}
        try:
            found = sorted(self.folder.iterdir())
        except OSError:
            return {}
        return {path.stem: path for path in found if path.suffix.lower() in _KINDS and path.is_file()}

    def _remembered(self, name: str) -> str:
        key = hashlib.sha256(f"{self.folder}\0{name}".encode()).hexdigest()
        return f"{key}.json"

    def unknown(self) -> Refused:
        """Return what is to be said of a name that is none: which there are, or why there is none."""
        if self.folder is None:
            return Refused(
                "No folder of rosters is configured.",
                f"Give the accounts as `entries`; or the person who runs this server sets {setting('rosters')}.",
                code="NO_ROSTERS",
            )
        names = self.names()
        listed = ", ".join(map(harmless, names[:_LISTED])) + (
            f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        )
        return Refused(
            "There is no roster of this name.",
            f"The rosters are: {listed}."
            if names
            else f"The folder that {setting('rosters')} names holds no CSV or JSON file.",
            code="UNKNOWN_ROSTER",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterFile:
    """What an application exported, as it is."""

    kind: RosterKind
    content: bytes = field(repr=False)

    def fingerprint(self) -> str:
        """Return what is another one when anything in it has changed."""
        return hashlib.sha256(self.content).hexdigest()

    def read(self) -> Roster:
        """Return the accounts. Raises Refused for what cannot be read."""
        return parse_roster(self.content, self.kind)


def open_roster(path: Path) -> RosterFile:
    """Return the roster in a file. Raises Refused for one that cannot be opened."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise Refused("A roster is a file that ends with .csv or .json.", code="UNKNOWN_ROSTER")
    try:
        return RosterFile(kind=kind, content=read_whole(path, MAX_BYTES, what="The roster"))
    except OSError as error:
        raise Refused(f"The roster cannot be read: {error.strerror}.", code="UNKNOWN_ROSTER") from None
