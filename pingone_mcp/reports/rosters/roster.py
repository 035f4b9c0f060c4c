"""The roster of an application: who has an account there, as its rows say it.

Exports name the same thing in many ways, so headings are read by their usual spellings; a heading that nobody knows
becomes an attribute under its own name. Problems name lines and columns, never what stands in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from pingone_mcp.directory.matching.attributes import squeezed
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused

MAX_ENTRIES = 200_000
MAX_COLUMNS = 200
MAX_CELL = 10_000
_SHOWN_MISTAKES = 20

Cell = str | tuple[str, ...]
"""A text, or several where there may be several, as of roles."""

# Headings without case, spaces and punctuation; of several columns for one field the earliest spelling here is it.
_SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "email": ("email", "emailaddress", "mail", "mailaddress", "primaryemail", "workemail", "useremail", "emails"),
        "username": ("username", "login", "loginname", "userlogin", "user", "userprincipalname", "upn", "accountname"),
        "external_id": (
            *("externalid", "employeeid", "employeenumber", "employeeno", "personnelnumber", "personnelid"),
            *("staffid", "staffnumber", "workerid"),
        ),
        "name": ("name", "fullname", "displayname", "realname"),
        "first_name": ("firstname", "givenname", "forename"),
        "last_name": ("lastname", "familyname", "surname"),
        "title": ("title", "jobtitle", "position"),
        "department": ("department", "dept", "departmentname"),
        "manager": ("manager", "manageremail", "managername", "linemanager", "supervisor"),
        "roles": ("roles", "role", "approles", "userroles", "userrole", "entitlements", "permissions"),
        "active": ("status", "active", "enabled", "isactive", "isenabled", "state", "accountstatus", "userstatus"),
        "inactive": (
            *("disabled", "isdisabled", "suspended", "issuspended", "deactivated", "inactive", "archived", "blocked"),
            "locked",
        ),
    }
)
IDENTITIES = ("email", "username", "external_id")
_OWN_FIELDS = (*IDENTITIES, "name", "roles", "active", "inactive")  # of an entry; others are its attributes
_YES = frozenset("1 y yes t true on ok active enabled activated current".split())
_NO = frozenset(
    "0 n no f false off inactive disabled deactivated suspended locked blocked archived terminated deleted removed "
    "expired left".split()
)
_FALSE = frozenset("0 n no f false off".split())
# Understood, and neither: who is invited may accept.
_UNDECIDED = frozenset({"invited"})


class RosterRow(NamedTuple):
    """An entry as it is written: its line or its place in the list, from 1, and its cells by their headings."""

    line: int
    cells: Mapping[str, Cell]


_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


class RosterEntry(NamedTuple):
    """One account of the application. `line` is where it begins in a CSV file, else its place in the list, from 1.

    `active` is None where the roster does not say, or says invited; `status` is the roster's own word. `attributes`
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """All accounts of an application; `notes` say in plain words what of the roster was not understood."""

    entries: tuple[RosterEntry, ...]
    notes: tuple[str, ...] = ()


def entries_of(rows: Iterable[RosterRow]) -> tuple[RosterEntry, ...]:
    """Return the accounts in rows, of which nothing else is kept. Raises Refused for too many."""
    entries: list[RosterEntry] = []
    for row in rows:
        entries.append(_entry(row))
        if len(entries) > MAX_ENTRIES:
            raise too_many()
    return tuple(entries)


def roster_with(entries: tuple[RosterEntry, ...], *notes: str) -> Roster:
    """Return the roster of these entries; a note says which status was not understood."""
    odd = [
        entry.line
        for entry in entries
        if entry.status and entry.active is None and entry.status.lower() not in _UNDECIDED
    ]
    if odd:
        note = f"A status that is not understood counts as active: {len(odd):,} in all, the first at line {odd[0]:,}."
        notes = (*notes, f"{note} Write active or inactive.")
    return Roster(entries=entries, notes=notes)


def _entry(row: RosterRow) -> RosterEntry:
    written = {heading: text for heading, cell in row.cells.items() if cell and (text := _text(cell))}
    fields, attributes = _columns(tuple(written))
    texts = {known: written[heading] for known, heading in fields.items()}
    first, last = texts.get("first_name"), texts.get("last_name")
    return RosterEntry(
        line=row.line,
        email=texts.get("email"),
        username=texts.get("username"),
        external_id=texts.get("external_id"),
        name=texts.get("name") or (f"{first} {last}" if first and last else None),
        status=texts.get("active") or texts.get("inactive"),
        active=_active(texts.get("active"), texts.get("inactive")),
        roles=_roles(row.cells[fields["roles"]]) if "roles" in fields else (),
        attributes={name: written[heading] for name, heading in attributes},
    )


@lru_cache(maxsize=1_000)  # the rows of a roster are alike
def _columns(written: tuple[str, ...]) -> tuple[Mapping[str, str], Sequence[tuple[str, str]]]:
    """Return the heading of each known field, and names and headings of all that are attributes."""
    headings = _headings(written)
    known = [(name, heading) for name, heading in headings.items() if name not in _OWN_FIELDS]
    used = set(headings.values())
    return headings, [*known, *((heading, heading) for heading in written if heading and heading not in used)]


def _headings(written: Iterable[str]) -> Mapping[str, str]:
    """Return the heading of each known field: of several whose cells are not empty, that of the earliest spelling."""
    chosen: dict[str, str] = {}
    for heading in written:
        known = field_of(heading)
        if known is None:
            continue
        if known not in chosen or _rank(known, heading) < _rank(known, chosen[known]):
            chosen[known] = heading
    return chosen


def _rank(known: str, heading: str) -> int:
    return _SPELLINGS[known].index(squeezed(heading))


def _active(active: str | None, inactive: str | None) -> bool | None:
    word, opposite = (active or "").lower(), (inactive or "").lower()
    if word in _NO or opposite in _YES or opposite in _NO - _FALSE:
        return False
    if word in _YES or (not word and opposite in _FALSE):
        return True
    return None


def _roles(value: Cell) -> tuple[str, ...]:
    parts = re.split(r"[;|\n]", value) if isinstance(value, str) else value
    return tuple(dict.fromkeys(role for part in parts if (role := harmless(part).strip())))


def _text(value: Cell) -> str:
    return harmless(value if isinstance(value, str) else "; ".join(value)).strip()


_FIELDS: Mapping[str, str] = MappingProxyType({word: known for known, words in _SPELLINGS.items() for word in words})


def field_of(heading: str) -> str | None:
    """Return the field that a heading means, if it is a known spelling."""
    return _FIELDS.get(squeezed(heading))


def refused(what: str, next_step: str) -> Refused:
    return Refused(what, next_step, code="BAD_ROSTER")


def too_many() -> Refused:
    return refused(f"The roster has more than {MAX_ENTRIES:,} entries.", "Split it.")


def nameless(subject: str) -> Refused:
    return refused(
        f"{subject} an email, username or external id, so nobody can be found by it.",
        "Name a column email, username or external_id (employee id).",
    )


def mistaken(mistakes: Sequence[str]) -> Refused:
    shown = "; ".join(mistakes[:_SHOWN_MISTAKES])
    more = f"; and {len(mistakes) - _SHOWN_MISTAKES} more" if len(mistakes) > _SHOWN_MISTAKES else ""
    return refused(f"The roster cannot be read: {shown}{more}.", "Mend that and try again.")
