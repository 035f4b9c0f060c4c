"""The roster of an application: who has an account there, as its rows say it.

Exports name the same thing in many ways, so headings are read by their usual spellings; a heading that nobody knows
becomes an attribute under its own name. Problems name lines and columns, never what stands in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.reports.rosters.columns import Columns, Layout

MAX_ENTRIES = 200_000
MAX_COLUMNS = 200
MAX_CELL = 10_000
_SHOWN_MISTAKES = 20

Cell = str | tuple[str, ...]
"""A text, or several where there may be several, as of roles."""

# As a spreadsheet writes true and false that has saved a list in German, French, Spanish, Portuguese, Italian, Dutch …
_TRUE_ELSEWHERE = "wahr vrai verdadero verdadeiro vero waar sant prawda"
_FALSE_ELSEWHERE = "falsch faux falso onwaar falskt fałsz"
_YES = frozenset(f"1 y yes t true on ok active enabled activated current {_TRUE_ELSEWHERE}".split())
_FALSE = frozenset(f"0 n no f false off {_FALSE_ELSEWHERE}".split())
_NO = _FALSE | frozenset(
    "inactive disabled deactivated suspended locked blocked archived terminated deleted removed expired left "
    "deprovisioned staged locked_out".split()
)
# Understood, and neither: who is invited may accept.
_UNDECIDED = frozenset({"invited"})


class RosterRow(NamedTuple):
    """An entry as it is written: its line or its place in the list, from 1, and its cells by their headings."""

    line: int
    cells: Mapping[str, Cell]


_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


class RosterEntry(NamedTuple):
    """One account of the application. `line` is where it begins in a CSV file, else its place in the list, from 1.

    `more_emails` are further addresses of the account, by which people are looked for as well. `active` is None where
    the roster does not say, or says invited; `status` is the roster's own word. `attributes`
    carries unified field names where the heading is known (title, department, manager …), else the heading as it is
    written.
    """

    line: int
    email: str | None = None
    username: str | None = None
    external_id: str | None = None
    name: str | None = None
    status: str | None = None
    active: bool | None = None
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, str] = _NO_ATTRIBUTES
    more_emails: tuple[str, ...] = ()

    @property
    def composed_name(self) -> str | None:
        """The name that first and last name make; None where one of them is not there."""
        first, last = self.attributes.get("first_name"), self.attributes.get("last_name")
        return f"{first} {last}" if first and last else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """All accounts of an application; `notes` say in plain words what of the roster was not understood or left out.

    `columns` say what was read as what, where the roster came as a list with headings.
    """

    entries: tuple[RosterEntry, ...]
    notes: tuple[str, ...] = ()
    columns: Columns | None = field(default=None, compare=False)


class Reading:
    """Makes the accounts of the rows of one list, of which nothing else is kept; notes what is to be said of them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._statuses = layout.application.statuses if layout.application else {}
        self._nobody = layout.application.nobody if layout.application else {}
        self._odd: list[int] = []
        self._nobodies: list[tuple[int, str]] = []

    def roster(self, rows: Iterable[RosterRow]) -> Roster:
        """Return the roster of these rows. Raises Refused for too many."""
        entries: list[RosterEntry] = []
        for row in rows:
            entry = self._entry(row)
            if entry is not None:
                entries.append(entry)
            if len(entries) > MAX_ENTRIES:
                raise too_many()
        return Roster(entries=tuple(entries), notes=tuple(self._notes()), columns=self._layout.used())

    def _notes(self) -> Iterator[str]:
        if self._nobodies:
            line, word = self._nobodies[0]
            number = len(self._nobodies)
            yield f"Rows that are nobody's account were left out: {number:,} in all, the first ({word}) at line {line:,}."
        if self._odd:
            number, first = len(self._odd), self._odd[0]
            yield (
                f"A status that is not understood counts as active: {number:,} in all, the first at line {first:,}. "
                "Write active or inactive."
            )

    def _entry(self, row: RosterRow) -> RosterEntry | None:
        """Return the account of a row; None for what is nobody's."""
        written = {heading: text for heading, cell in row.cells.items() if cell and (text := _text(cell))}
        of, attributes = self._layout.columns(tuple(written))
        texts = {known: written[headings[0]] for known, headings in of.items()}
        if self._layout.application is not None:
            for known, words in self._nobody.items():
                if texts.get(known, "").lower() in words:
                    self._nobodies.append((row.line, texts[known]))
                    return None
        emails = self._emails(of, written)
        if "handle" in texts and not (emails or texts.get("username") or texts.get("external_id")):
            texts["username"] = texts["handle"]  # it names somebody where nothing else does
        status = texts.get("active") or texts.get("inactive")
        active = self._active(of, written) if status else None
        if status and active is None and not self._is_undecided(status):
            self._odd.append(row.line)
        first, last = texts.get("first_name"), texts.get("last_name")
        return RosterEntry(
            line=row.line,
            email=emails[0] if emails else None,
            username=texts.get("username"),
            external_id=texts.get("external_id"),
            name=texts.get("name") or (f"{first} {last}" if first and last else None),
            status=status,
            active=active,
            roles=_roles(row.cells[of["roles"][0]]) if "roles" in of else (),
            attributes={name: written[heading] for name, heading in attributes},
            more_emails=tuple(emails[1:]),
        )

    def _emails(self, of: Mapping[str, Sequence[str]], written: Mapping[str, str]) -> Sequence[str]:
        """Return the addresses of an account: those in the first of its columns that has any.

        What is no list of addresses is taken as it is, unless the application is known to write other things there.
        """
        cells = [written[heading] for heading in of.get("email", ())]
        if self._layout.application is not None and not self._layout.is_mapped("email"):
            return next(filter(None, ([one for one in _parts(cell) if "@" in one] for cell in cells)), ())
        parts = _parts(cells[0]) if cells else ()
        return parts if len(parts) > 1 and all("@" in one for one in parts) else cells[:1]

    def _active(self, of: Mapping[str, Sequence[str]], written: Mapping[str, str]) -> bool | None:
        said = {self._means(written[heading].lower()) for heading in of.get("active", ())}
        opposite = {written[heading].lower() for heading in of.get("inactive", ())}
        if opposite & _YES or opposite & (_NO - _FALSE):
            return False
        if True in said:
            return True
        if False in said:
            return False
        return True if opposite and not said and opposite <= _FALSE else None

    def _means(self, word: str) -> bool | None:
        if word in self._statuses:
            return self._statuses[word]
        return True if word in _YES else False if word in _NO else None

    def _is_undecided(self, status: str) -> bool:
        return status.lower() in _UNDECIDED or status.lower() in self._statuses


def _parts(text: str) -> Sequence[str]:
    """Return what stands in a cell, each once: addresses hold no space and no separator."""
    return list(dict.fromkeys(filter(None, re.split(r"[,;\s]+", text))))


def _roles(value: Cell) -> tuple[str, ...]:
    parts = re.split(r"[;|\n]", value) if isinstance(value, str) else value
    return tuple(dict.fromkeys(role for part in parts if (role := harmless(part).strip())))


def _text(value: Cell) -> str:
    return harmless(value if isinstance(value, str) else "; ".join(value)).strip()


def refused(what: str, next_step: str) -> Refused:
    return Refused(what, next_step, code="BAD_ROSTER")


def too_many() -> Refused:
    return refused(f"The roster has more than {MAX_ENTRIES:,} entries.", "Split it.")


def nameless(subject: str) -> Refused:
    return refused(
        f"{subject} an email, username or external id, so nobody can be found by it.",
        'Name a column email, username or external_id (employee id); drift --map email="Its Heading" says which it is.',
    )


def mistaken(mistakes: Sequence[str]) -> Refused:
    shown = "; ".join(mistakes[:_SHOWN_MISTAKES])
    more = f"; and {len(mistakes) - _SHOWN_MISTAKES} more" if len(mistakes) > _SHOWN_MISTAKES else ""
    return refused(f"The roster cannot be read: {shown}{more}.", "Mend that and try again.")
