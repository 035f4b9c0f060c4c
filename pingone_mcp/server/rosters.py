"""The user lists of applications that a person has put into a folder: a model names one, and never a path."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pingone_mcp.directory.drift import Changes, Drift, since
from pingone_mcp.directory.roster import Roster, RosterKind, parse_roster
from pingone_mcp.errors import Refused
from pingone_mcp.server.exports import write_private

_KINDS: dict[str, RosterKind] = {".csv": "csv", ".json": "json"}
_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rosters:
    """The rosters in `folder` (None: there is none), and what the last check of each found, in `memory`."""

    folder: Path | None
    memory: Path

    def names(self) -> tuple[str, ...]:
        """Return the names that may be asked for: of the files in the folder itself, without their ending."""
        return tuple(sorted(self._files()))

    def load(self, name: str) -> Roster:
        """Return a roster. Raises Refused, with the names that there are, for any other name."""
        path = self._files().get(name)
        if path is None:
            raise self._unknown()
        return read_roster(path)

    def compared(self, name: str, drift: Drift) -> Changes | None:
        """Return what is new since the last check of a roster; None when there was none, or none to compare with."""
        try:
            return since(json.loads(self._remembered(name).read_bytes()), drift)
        except (OSError, ValueError, Refused):
            return None

    def remember(self, name: str, drift: Drift) -> None:
        """Keep what was found for the next check; where it cannot be kept, the next one has nothing to compare with."""
        path = self._remembered(name)
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, [json.dumps(drift.to_json())])

    def _files(self) -> dict[str, Path]:
        if self.folder is None:
            return {}
        try:
            found = sorted(self.folder.iterdir())
        except OSError:
            return {}
        return {path.stem: path for path in found if path.suffix.lower() in _KINDS and path.is_file()}

    def _remembered(self, name: str) -> Path:
        key = hashlib.sha256(f"{self.folder}\0{name}".encode()).hexdigest()
        return self.memory / f"{key}.json"

    def _unknown(self) -> Refused:
        if self.folder is None:
            return Refused(
                "No folder of rosters is configured.",
                "Give the accounts as `entries`; or the person who runs this server sets PINGONE_ROSTERS.",
                code="NO_ROSTERS",
            )
        names = self.names()
        listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
        return Refused(
            "There is no roster of this name.",
            f"The rosters are: {listed}."
            if names
            else "The folder that PINGONE_ROSTERS names holds no CSV or JSON file.",
            code="UNKNOWN_ROSTER",
        )


def read_roster(path: Path) -> Roster:
    """Return the roster in a file. Raises Refused for one that cannot be read."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise Refused("A roster is a file that ends with .csv or .json.", code="UNKNOWN_ROSTER")
    try:
        return parse_roster(path.read_bytes(), kind)
    except OSError as error:
        raise Refused(f"The roster cannot be read: {error.strerror}.", code="UNKNOWN_ROSTER") from None
