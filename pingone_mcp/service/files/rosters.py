"""The user lists of applications, laid into a folder by a person, or pushed: a model names one, and never a path.

What reads and compares them is loaded when there is one: whoever answers has a folder, and hardly anybody asks for it.
"""
# ruff: noqa: PLC0415 - as the docstring says

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pingone_mcp.advice import setting, spelled
from pingone_mcp.directory.rows import compact
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.private_files import ANOTHER_CACHE, NotPrivate, PrivateFolder
from pingone_mcp.service.files.given_files import read_whole
from pingone_mcp.service.rosters.shelf import Shelf, is_name

if TYPE_CHECKING:
    from pingone_mcp.reports.drift import Drift
    from pingone_mcp.reports.rosters.files import RosterKind
    from pingone_mcp.reports.rosters.roster import Roster
    from pingone_mcp.reports.since_last import Changes

_KINDS: Mapping[str, RosterKind] = {".csv": "csv", ".json": "json"}
_TEXTS: Mapping[str, RosterKind] = {".tsv": "csv", ".txt": "csv"}
"""What is a roster only where a person names it: spreadsheets save tables so (“Unicode text”), others write notes."""
_LISTED = 20
_AS_USUAL: Mapping[str, str] = MappingProxyType({})
_LONGEST_LINE = 1024 * 1024  # of what is kept of a check
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The accounts of an application; `read` reads them, may take long, and raises Refused for what cannot be read.

    `fingerprint` is another one when anything in them has changed. `memory` is the name by which what a check of them
    found is kept for the next one (None: it is not kept). `at` is when their file was written (None: it is no file).
    """

    name: str
    fingerprint: str
    read: Callable[[], Roster]
    memory: str | None = None
    at: datetime | None = None

    def read_now(self) -> Accounts:
        """Return the same accounts, read already. Raises Refused."""
        roster = self.read()
        return dataclasses.replace(self, read=lambda: roster)


def given_accounts(entries: Sequence[Any]) -> Accounts:
    """Return the accounts that a caller gives one by one, as JSON objects. Raises Refused for what is none."""
    from pingone_mcp.reports.rosters.objects import roster_of

    roster = roster_of(entries)
    fingerprint = hashlib.sha256(compact(entries).encode(errors="replace")).hexdigest()
    return Accounts(name="", fingerprint=fingerprint, read=lambda: roster)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rosters:
    """The rosters in `folder` (None: there is none), and what the last check of each found, in `memory`.

    `pushed` are those that were pushed to the connection, or pulled for it (None: there cannot be any).
    """

    folder: Path | None
    memory: PrivateFolder
    pushed: Shelf | None = None

    def names(self) -> tuple[str, ...]:
        """Return the names that may be asked for: files in the folder itself, without ending, and others."""
        return tuple(sorted({*self._files(), *self._pushed()}))

    def lie(self) -> tuple[tuple[str, int, int], ...]:
        """Return the files that hold the rosters, each with its size and its time (nanoseconds); blocks.

        None of them is read: another roster has another one of these.
        """
        found: list[tuple[str, int, int]] = []
        for name, path in sorted(self._files().items()):
            with suppress(OSError):
                stat = path.stat()
                found.append((name, stat.st_size, stat.st_mtime_ns))
        for name in self._pushed():
            assert self.pushed is not None
            if (lies := self.pushed.look(name)) is not None:
                found.append((f"{name} {lies.kind}", lies.size, lies.time))
        return tuple(found)

    def find(self, name: str, mapped: Mapping[str, str] = _AS_USUAL) -> Accounts:
        """Return a roster, not read yet; `mapped` as in `find_file`.

        Raises Refused, with the names that there are, for any other name.
        """
        path, pushed = self._files().get(name), self._read_pushed(name)
        if path is not None and pushed is not None:
            raise Refused(
                f"There are two rosters of this name: a file in the folder that {setting('rosters')} names, and one that "
                "was pushed.",
                "Remove or rename one of them.",
                code="AMBIGUOUS_ROSTER",
            )
        if pushed is not None:
            return dataclasses.replace(pushed.accounts(name, mapped), at=pushed.at)
        if path is None:
            raise self.unknown(name)
        at = _written_at(path)  # before it is read: it is no younger than that
        return dataclasses.replace(_opened(path, mapped, name=name, memory=_memory_of(self.folder, name)), at=at)

    def find_file(self, reference: str, mapped: Mapping[str, str] = _AS_USUAL) -> Accounts:
        """Return the roster that a name or a path means; a model never names a path. Raises Refused.

        A file of the folder is the roster of its name, by whichever of the two it is called. `mapped` says of fields
        which column they are, as `mapping_of` returns it.
        """
        path = Path(reference)
        files = self._files()
        if path.name == reference and (reference in files or reference in self._pushed()):
            return self.find(reference, mapped)
        if not path.is_file():
            names = ", ".join(map(harmless, self.names()[:_LISTED]))
            hint = did_you_mean(reference, map(harmless, self.names()))
            raise Refused(
                "There is neither a file nor a registered roster of this name.",
                f"{hint} Registered rosters: {names}.".strip()
                if names
                else f"{setting('rosters')} names a folder for rosters; `pingone-mcp rosters push NAME FILE` registers one.",
            )
        whole = path.resolve()
        registered = next((name for name, file in files.items() if file.resolve() == whole), None)
        memory = _memory_of(whole.parent, whole.name) if registered is None else _memory_of(self.folder, registered)
        return _opened(path, mapped, name=whole.name, memory=memory)

    def since_last(self, accounts: Accounts, drift: Drift) -> Changes | None:
        """Return what is new since the last check of some accounts, and keep this one for the next; blocks.

        None when there was none, or none to compare with: where it cannot be kept, that is so next time. A check that
        compared nobody, or found nobody, is no check. Checks that expect members of different groups are not compared.
        """
        from pingone_mcp.reports.since_last import kept

        changes = self.news(accounts, drift)
        if (memory := _kept_as(accounts, drift)) is None:
            return None
        try:
            self.memory.write(memory, (line.encode() for line in kept(drift)))
        except OSError as error:
            advice = f". {spelled(ANOTHER_CACHE)}" if isinstance(error, NotPrivate) else ""
            _logger.warning("What this check found is not kept for the next one: %s%s", error.strerror, advice)
        return changes

    def news(self, accounts: Accounts, drift: Drift) -> Changes | None:
        """Return what is new since the last check that was kept, and keep nothing; blocks. None as in `since_last`."""
        from pingone_mcp.reports.since_last import since

        if (memory := _kept_as(accounts, drift)) is None:
            return None
        try:
            with io.TextIOWrapper(self.memory.open(memory), encoding="utf-8") as file:
                return since(iter(partial(file.readline, _LONGEST_LINE), ""), drift)
        except (OSError, ValueError, Refused):
            return None

    def _files(self) -> dict[str, Path]:
        if self.folder is None:
            return {}
        try:
            found = sorted(self.folder.iterdir())
        except OSError:
            return {}
        return {path.stem: path for path in found if path.suffix.lower() in _KINDS and path.is_file()}

    def _pushed(self) -> tuple[str, ...]:
        return () if self.pushed is None else self.pushed.names()

    def _read_pushed(self, name: str) -> _Pushed | None:
        if self.pushed is None or not is_name(name):
            return None
        lies = self.pushed.look(name)  # before it is read: that one is no older
        found = self.pushed.read(name)
        at = None if lies is None else datetime.fromtimestamp(lies.time / 1_000_000_000, UTC)
        return None if found is None else _Pushed(*found, self.pushed.folder.path, at)

    def unknown(self, name: str = "") -> Refused:
        """Return what is to be said of a name that is none: the nearest, which there are, or why there is none."""
        push = (
            ""
            if self.pushed is None
            else "; or push one: `pingone-mcp rosters push NAME FILE`, or PUT /roster/{name} where it is served"
        )
        if self.folder is None and not self._pushed():
            return Refused(
                "There is no roster." if self.pushed is not None else "No folder of rosters is configured.",
                f"Give the accounts as `entries`{push}; or the person who runs this server sets {setting('rosters')}.",
                code="NO_ROSTERS",
            )
        names = self.names()
        listed = ", ".join(map(harmless, names[:_LISTED])) + (
            f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        )
        return Refused(
            "There is no roster of this name.",
            f"{did_you_mean(name, map(harmless, names))} The rosters are: {listed}.".strip()
            if names
            else f"The folder that {setting('rosters')} names holds no CSV or JSON file{push}.",
            code="UNKNOWN_ROSTER",
        )


class _Pushed(NamedTuple):
    """A list that was pushed, as it lies in the folder of its connection."""

    kind: RosterKind
    content: bytes
    folder: Path
    at: datetime | None

    def accounts(self, name: str, mapped: Mapping[str, str]) -> Accounts:
        return _accounts(self.content, self.kind, mapped, name=name, memory=_memory_of(self.folder, name))


def _written_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def _kept_as(accounts: Accounts, drift: Drift) -> str | None:
    """Return the name by which a check is kept; None where it is not, or it was none."""
    if accounts.memory is None or drift.compared_nobody or drift.matched_nobody:
        return None
    return accounts.memory if drift.expected_group is None else f"{drift.expected_group.id}-{accounts.memory}"


def _memory_of(folder: Path | None, name: str) -> str:
    key = hashlib.sha256(f"{folder}\0{name}".encode()).hexdigest()
    return f"{key}.json"


def kind_of(path: Path) -> RosterKind:
    """Return the kind of a file that a person names. Raises Refused for what is no roster."""
    kind = {**_KINDS, **_TEXTS}.get(path.suffix.lower())
    if kind is None:
        raise Refused(
            "A roster is a file that ends with .csv, .tsv, .txt or .json.",
            "Save a workbook as “CSV UTF-8”.",
            code="UNKNOWN_ROSTER",
        )
    return kind


def _opened(path: Path, mapped: Mapping[str, str], *, name: str, memory: str) -> Accounts:
    """Return the roster in a file. Raises Refused for one that cannot be opened."""
    from pingone_mcp.reports.rosters.files import MAX_BYTES

    kind = kind_of(path)
    try:
        content = read_whole(path, MAX_BYTES, what="The roster")
    except OSError as error:
        raise Refused(f"The roster cannot be read: {error.strerror}.", code="UNKNOWN_ROSTER") from None
    return _accounts(content, kind, mapped, name=name, memory=memory)


def _accounts(content: bytes, kind: RosterKind, mapped: Mapping[str, str], *, name: str, memory: str) -> Accounts:
    from pingone_mcp.reports.rosters.files import parse_roster

    fingerprint = hashlib.sha256(content).hexdigest()
    return Accounts(
        name=name, fingerprint=fingerprint, read=partial(parse_roster, content, kind, mapped), memory=memory
    )
