"""The roster of an application: who has an account there, as an export or an inline list tells it.

Exports name the same thing in many ways, so headings are read by their usual spellings; a heading that nobody knows
becomes an attribute under its own name. Problems name lines and columns, never what stands in them.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pingone_mcp.directory.attributes import squeezed
from pingone_mcp.directory.json_text import TooManyItems, loads_in_steps
from pingone_mcp.directory.text import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.reports.export import undefused

RosterKind = Literal["csv", "json"]

MAX_BYTES = 64 * 1024 * 1024
MAX_ENTRIES = 200_000
MAX_COLUMNS = 200
MAX_CELL = 10_000
_SHOWN_MISTAKES = 20

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
_IDENTITIES = ("email", "username", "external_id")
_YES = frozenset("1 y yes t true on ok active enabled activated current".split())
_NO = frozenset(
    "0 n no f false off inactive disabled deactivated suspended locked blocked archived terminated deleted removed "
    "expired left".split()
)
_FALSE = frozenset("0 n no f false off".split())
# Understood, and neither: whoever is invited may accept.
_UNDECIDED = frozenset({"invited"})
_DELIMITERS = ",;\t"
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|[\r\n])|[^\r\n]++\Z")
_Row = tuple[int, Mapping[str, str | tuple[str, ...]]]  # the line or place, and texts by their headings
# What an entry of a SCIM answer says about itself (RFC 7643 §3), and where it keeps what is beyond SCIM's core.
_ABOUT_THE_ENTRY = frozenset({"schemas", "meta"})
_SCIM_EXTENSION = "urn:ietf:params:scim:schemas:extension:"
_SCIM_LIST = "urn:ietf:params:scim:api:messages:2.0:listresponse"
# How APIs say that what they sent is one page: how many there are in all, and where the next ones are.
_TOTALS = ("totalresults", "total", "totalcount", "totalsize", "totalrecords", "count", "odatacount")
_NEXT_PAGES = ("next", "nextlink", "nextpage", "nextpagetoken", "nextpageurl", "nextcursor", "odatanextlink")


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterEntry:
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
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """All accounts of an application; `notes` say in plain words what of the roster was not understood."""

    entries: tuple[RosterEntry, ...]
    notes: tuple[str, ...] = ()


def parse_roster(content: str | bytes, kind: RosterKind) -> Roster:
    """Read an export: CSV with a heading line, or JSON (a list of objects, or one object that holds such a list).

    CSV may be separated by comma, semicolon or tab and quoted as in RFC 4180; an apostrophe that keeps a spreadsheet
    from taking a cell for a formula, as our own exports have it, is no part of the cell. JSON may be a SCIM
    ListResponse (RFC 7644 §3.4.2); one page of several is no roster. Bytes are UTF-8 or UTF-16. Raises Refused, with
    the lines and what to do.
    """
    if len(content) > MAX_BYTES:
        raise _refused(f"The roster is larger than {MAX_BYTES // 1024 // 1024} MiB.", "Export fewer columns.")
    text = _decoded(content) if isinstance(content, bytes) else content
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise _refused("The roster is no text: it holds characters of value zero.", "Save it as “CSV UTF-8”.")
    return _read_csv(text) if kind == "csv" else roster_of(_json_entries(text))


def roster_of(entries: Sequence[Any]) -> Roster:
    """Read entries that came as objects, e.g. as an argument of a tool: the same spellings, values as in JSON.

    Raises Refused, with the places of the entries that cannot be read.
    """
    if len(entries) > MAX_ENTRIES:
        raise _too_many()
    mistakes: list[str] = []
    unread: list[int] = []
    named = False

    def rows() -> Iterator[_Row]:
        nonlocal named
        for place, entry in enumerate(entries, 1):
            if not isinstance(entry, Mapping):
                mistakes.append(f'entry {place}: is no object; write {{"email": …}}')
                continue
            if len(entry) > MAX_COLUMNS:
                mistakes.append(f"entry {place}: has more than {MAX_COLUMNS} members")
                continue
            row, whole = _flat(entry)
            if not whole and not unread:
                unread.append(place)
            named = named or any(_spelt(heading) in _IDENTITIES for heading in row)
            if _is_long(row):
                mistakes.append(f"entry {place}: a value is longer than {MAX_CELL} characters")
            else:
                yield place, row

    found = _entries(rows())
    if mistakes:
        raise _mistaken(mistakes)
    if not named and entries:
        raise _nameless("None of the entries has")
    notes = [f"Values that are themselves objects were left out, first in entry {unread[0]}."] if unread else []
    return _roster(found, notes)


def _flat(entry: Mapping[Any, Any]) -> tuple[dict[str, str | tuple[str, ...]], bool]:
    """Return the members of an entry as text, and whether all of them could be read so."""
    row: dict[str, str | tuple[str, ...]] = {}
    whole = True
    for heading, value in _members(entry):
        told = _told(heading, value)
        if told is None:
            whole = False
        else:
            row |= told
    return row, whole


def _is_long(row: Mapping[str, str | tuple[str, ...]]) -> bool:
    return any(
        len(cell) > MAX_CELL for value in row.values() for cell in ((value,) if isinstance(value, str) else value)
    )


def _read_csv(text: str) -> Roster:
    first = re.match(r"[^\r\n]*", text)
    marked = re.fullmatch(
        r'"?sep=([,;\t])"?', first[0] if first else "", re.IGNORECASE
    )  # a first line that spreadsheets write and heed
    delimiter = marked[1] if marked else _delimiter(text)
    records = _records(text, delimiter)
    if marked:
        next(records)
    heading_line, headings = next((record for record in records if any(map(str.strip, record[1]))), (1, []))
    if not headings:
        raise _refused(
            "The roster is empty: there is no heading line.",
            "The first line names the columns, e.g. email,username,status,roles.",
        )
    names = [harmless(undefused(cell)).strip() for cell in headings]
    while names and not names[-1]:
        names.pop()
    mistakes = _heading_mistakes(names, heading_line)
    if mistakes:
        raise _mistaken(mistakes)
    if not any(_spelt(name) in _IDENTITIES for name in names):
        raise _nameless(f"Line {heading_line}, the heading line, has no column for")
    found = _entries(_rows(records, names, mistakes))
    if mistakes:
        raise _mistaken(mistakes)
    return _roster(found, [])


def _rows(records: Iterable[tuple[int, list[str]]], names: Sequence[str], mistakes: list[str]) -> Iterator[_Row]:
    """Yield the records under their headings; what is wrong with others is added to the mistakes."""
    for line, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        if any(cell.strip() for cell in cells[len(names) :]):
            mistakes.append(
                f"line {line}: {len(cells)} cells, but {len(names)} headings; put a cell that holds the separator in quotes"
            )
        elif any(len(cell) > MAX_CELL for cell in cells):
            mistakes.append(f"line {line}: a cell is longer than {MAX_CELL} characters; is a quote missing?")
        else:
            yield line, dict(zip(names, map(undefused, cells), strict=False))


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line that it begins on."""
    reader = csv.reader((line.group() for line in _LINE.finditer(text)), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _mistaken(
                [
                    (
                        f"line {line}: the quotes do not fit, or a cell is far too long; a cell in quotes ends with a quote "
                        "before the separator, and a quote inside it is written twice"
                    )
                ]
            ) from error
        yield line, cells


def _delimiter(text: str) -> str:
    """Return what separates the headings: the candidate that stands most often outside quotes in the first record."""
    counts = dict.fromkeys(_DELIMITERS, 0)
    quoted = False
    for character in text[: MAX_COLUMNS * 1_000]:
        if character == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif character in "\r\n":
            if any(counts.values()):
                break
        elif character in counts:
            counts[character] += 1
    return max(counts, key=lambda delimiter: counts[delimiter])


def _heading_mistakes(names: Sequence[str], line: int) -> list[str]:
    if len(names) > MAX_COLUMNS:
        return [f"line {line}: more than {MAX_COLUMNS} columns; export fewer"]
    first: dict[str, int] = {}
    mistakes: list[str] = []
    for column, name in enumerate(names, 1):
        if not name:
            mistakes.append(f"line {line}: column {column} has no heading; name it or leave it out")
        elif squeezed(name) in first:
            mistakes.append(
                f"line {line}: columns {first[squeezed(name)]} and {column} have the same heading; rename one"
            )
        else:
            first[squeezed(name)] = column
    return mistakes


def _encoding(content: bytes) -> str:
    """Return the encoding of a text by its mark, or by where the zeros of its first character are (RFC 4627 §3)."""
    first = content[:2]
    if first in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    low, high = (byte == 0 for byte in first) if len(first) == 2 else (False, False)
    return "utf-16-le" if high and not low else "utf-16-be" if low and not high else "utf-8"


def _decoded(content: bytes) -> str:
    encoding = _encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise _refused("The roster is UTF-16 that is damaged or cut short.", "Save it as “CSV UTF-8”.") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(
            f"The roster is not UTF-8: line {line} holds a byte that does not belong there.",
            "Save it as “CSV UTF-8”.",
        ) from error


def _json_entries(text: str) -> list[Any]:
    try:
        document = loads_in_steps(text, MAX_ENTRIES)
    except TooManyItems:
        raise _too_many() from None
    except json.JSONDecodeError as error:
        raise _refused(
            f"The roster is not JSON: line {error.lineno}, column {error.colno} cannot be read.",
            'Write a list of objects, e.g. [{"email": "ann@example.com", "roles": ["reader"]}].',
        ) from error
    except ValueError as error:  # a list in a list in a list …; NaN
        raise _refused(
            "The roster is JSON that is nested too deeply, or holds what is no value of JSON.", ""
        ) from error
    entries = _listed(document) if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise _refused(
            "The roster is JSON, but no list of entries.",
            "Write a list of objects, or one object with a single member that is such a list.",
        )
    if isinstance(document, dict):
        _refuse_page(document, entries)
    return entries


def _listed(document: Mapping[str, Any]) -> list[Any] | None:
    """Return the entries that an object holds: a SCIM answer's, the only list of objects, or the only list."""
    members = {squeezed(name): member for name, member in document.items()}
    if isinstance(members.get("resources"), list):
        return list(members["resources"])
    schemas = members.get("schemas")
    if isinstance(schemas, list) and any(isinstance(one, str) and one.lower() == _SCIM_LIST for one in schemas):
        return []  # where nothing is found, Resources may be left out
    lists = [member for member in members.values() if isinstance(member, list)]
    of_objects = [member for member in lists if any(isinstance(item, Mapping) for item in member)]
    return next((found[0] for found in (of_objects, lists) if len(found) == 1), None)


def _refuse_page(document: Mapping[str, Any], entries: Sequence[Any]) -> None:
    """Raise Refused for one page of several: whoever is on another one would be told as missing or as unexpected."""
    members = {squeezed(name): member for name, member in document.items()}
    totals = [members[name] for name in _TOTALS if type(members.get(name)) is int]
    if any(total > len(entries) for total in totals):
        found = f"{len(entries):,} of {max(totals):,} entries"
    elif any(members.get(name) for name in _NEXT_PAGES):
        found = f"{len(entries):,} entries, and says where the next ones are"
    else:
        return
    raise _refused(
        f"The roster is one page of a list: it holds {found}.", "Read all pages, and put their entries into one list."
    )


def _members(entry: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the members of an entry; those that SCIM keeps in an extension (employeeNumber …) as the entry's own."""
    for heading, value in entry.items():
        name = str(heading)
        if isinstance(value, Mapping) and name.lower().startswith(_SCIM_EXTENSION):
            for inner, part in value.items():
                if inner not in entry:
                    yield str(inner), part
        elif not (isinstance(value, Mapping | list) and squeezed(name) in _ABOUT_THE_ENTRY):
            yield name, value


def _told(heading: str, value: Any) -> dict[str, str | tuple[str, ...]] | None:
    """Return one member of an entry as text under its heading, or None where it is too deep to be compared.

    What SCIM exports nest is read: `emails` with a primary one, `name` in parts, `roles` with a value or name.
    """
    name = harmless(heading).strip()
    if value is None:
        return {}
    if isinstance(value, bool):
        return {name: "true" if value else "false"}
    if isinstance(value, str | int | float):
        return {name: str(value)}
    known = _spelt(name)
    if isinstance(value, Mapping):
        if known != "name" or not all(isinstance(part, str | None) for part in value.values()):
            return None
        parts = {squeezed(str(key)): part for key, part in value.items() if part}
        spelt = (("formatted", "name"), ("givenname", "first name"), ("familyname", "last name"))
        return {to: str(parts[key]) for key, to in spelt if key in parts}
    if not isinstance(value, list | tuple) or known not in ("roles", "email"):
        return None
    items = [_item(item) for item in value]
    if any(text is None for text, _ in items):
        return None
    if known == "email":
        ordered = sorted(items, key=lambda item: not item[1])
        return {name: str(ordered[0][0])} if ordered else {}
    return {name: tuple(str(text) for text, _ in items)}


def _item(item: Any) -> tuple[str | None, bool]:
    """Return an item of a list as text, and whether it says that it is the primary one."""
    if isinstance(item, str):
        return item, False
    if not isinstance(item, Mapping):
        return None, False
    text = next((item[key] for key in ("value", "email", "name", "display") if isinstance(item.get(key), str)), None)
    return text, item.get("primary") is True or item.get("is_primary") is True


def _entries(rows: Iterable[_Row]) -> tuple[RosterEntry, ...]:
    """Return the accounts that rows tell; of the rows nothing is kept."""
    entries: list[RosterEntry] = []
    for line, row in rows:
        entries.append(_entry(line, row))
        if len(entries) > MAX_ENTRIES:
            raise _too_many()
    return tuple(entries)


def _roster(entries: tuple[RosterEntry, ...], notes: list[str]) -> Roster:
    odd = [
        entry.line
        for entry in entries
        if entry.status and entry.active is None and entry.status.lower() not in _UNDECIDED
    ]
    if odd:
        notes.append(
            f"A status that is not understood counts as active: {len(odd):,} in all, the first at line {odd[0]:,}. "
            "Write active or inactive."
        )
    return Roster(entries=entries, notes=tuple(notes))


def _entry(line: int, row: Mapping[str, str | tuple[str, ...]]) -> RosterEntry:
    chosen: dict[str, tuple[int, str]] = {}
    for heading in row:
        known = _spelt(heading)
        if known is not None:
            rank = _SPELLINGS[known].index(squeezed(heading))
            if _text(row[heading]) and (known not in chosen or rank < chosen[known][0]):
                chosen[known] = (rank, heading)
    said = {known: row[heading] for known, (_, heading) in chosen.items()}
    used = {heading for _, heading in chosen.values()}
    texts = {known: _text(value) for known, value in said.items()}
    attributes = {
        known: texts[known] for known in texts if known not in (*_IDENTITIES, "name", "roles", "active", "inactive")
    }
    attributes |= {
        heading: _text(value) for heading, value in row.items() if heading not in used and heading and _text(value)
    }
    first, last = texts.get("first_name"), texts.get("last_name")
    return RosterEntry(
        line=line,
        email=texts.get("email"),
        username=texts.get("username"),
        external_id=texts.get("external_id"),
        name=texts.get("name") or (f"{first} {last}" if first and last else None),
        status=texts.get("active") or texts.get("inactive"),
        active=_active(texts.get("active"), texts.get("inactive")),
        roles=_roles(said.get("roles", ())),
        attributes=attributes,
    )


def _active(active: str | None, inactive: str | None) -> bool | None:
    word, opposite = (active or "").lower(), (inactive or "").lower()
    if word in _NO or opposite in _YES or opposite in _NO - _FALSE:
        return False
    if word in _YES or (not word and opposite in _FALSE):
        return True
    return None


def _roles(value: str | tuple[str, ...]) -> tuple[str, ...]:
    parts = re.split(r"[;|\n]", value) if isinstance(value, str) else value
    return tuple(dict.fromkeys(role for part in parts if (role := harmless(part).strip())))


def _text(value: str | tuple[str, ...]) -> str:
    return harmless(value if isinstance(value, str) else "; ".join(value)).strip()


_FIELDS: Mapping[str, str] = MappingProxyType({word: known for known, words in _SPELLINGS.items() for word in words})


def _spelt(heading: str) -> str | None:
    """Return the field that a heading means, if it is a known spelling."""
    return _FIELDS.get(squeezed(heading))


def _refused(what: str, next_step: str) -> Refused:
    return Refused(what, next_step, code="BAD_ROSTER")


def _too_many() -> Refused:
    return _refused(f"The roster has more than {MAX_ENTRIES:,} entries.", "Split it.")


def _nameless(subject: str) -> Refused:
    return _refused(
        f"{subject} an email, username or external id, so nobody can be found by it.",
        "Name a column email, username or external_id (employee id).",
    )


def _mistaken(mistakes: Sequence[str]) -> Refused:
    shown = "; ".join(mistakes[:_SHOWN_MISTAKES])
    more = f"; and {len(mistakes) - _SHOWN_MISTAKES} more" if len(mistakes) > _SHOWN_MISTAKES else ""
    return _refused(f"The roster cannot be read: {shown}{more}.", "Mend that and try again.")
