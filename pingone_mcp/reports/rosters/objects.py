"""A roster as objects: a list in JSON, what SCIM and other APIs answer, or an argument of a tool."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pingone_mcp.directory.matching.attributes import squeezed
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.directory.text.json_text import TooManyItems, loads_in_steps
from pingone_mcp.reports.rosters import scim
from pingone_mcp.reports.rosters.columns import Layout
from pingone_mcp.reports.rosters.roster import (
    MAX_CELL,
    MAX_COLUMNS,
    MAX_ENTRIES,
    Cell,
    Reading,
    Roster,
    RosterRow,
    mistaken,
    nameless,
    refused,
    too_many,
)

# What an entry of a SCIM answer says about itself (RFC 7643 §3), and where it keeps what is beyond SCIM's core.
_ABOUT_THE_ENTRY = frozenset({"schemas", "meta"})
_SCIM_EXTENSION = "urn:ietf:params:scim:schemas:extension:"
_SCIM_LIST = "urn:ietf:params:scim:api:messages:2.0:listresponse"
_LOOKED_AT = 100  # entries by which an application is known
# How APIs say that what they sent is one page: how many there are in all, and where the next ones are.
_TOTALS = ("totalresults", "total", "totalcount", "totalsize", "totalrecords", "count", "odatacount")
_NEXT_PAGES = ("next", "nextlink", "nextpage", "nextpagetoken", "nextpageurl", "nextcursor", "odatanextlink")


def roster_of(entries: Sequence[Any], mapped: Mapping[str, str] | None = None) -> Roster:
    """Read entries that came as objects, e.g. as an argument of a tool: the same spellings, values as in JSON.

    Of what calls itself a user of SCIM that is read which `scim.members_of` says.
    `mapped` says of fields which member they are. Raises Refused, with the places of the entries that cannot be read.
    """
    if len(entries) > MAX_ENTRIES:
        raise too_many()
    entries = [scim.members_of(one) if isinstance(one, Mapping) and scim.is_user(one) else one for one in entries]
    layout = Layout(_headings(entries if mapped else entries[:_LOOKED_AT]), mapped)
    reader = _ObjectReader(layout)
    roster = Reading(layout).roster(reader.rows(entries))
    if reader.mistakes:
        raise mistaken(reader.mistakes)
    if not reader.has_identity and entries:
        raise nameless("None of the entries has")
    if reader.first_unread is None:
        return roster
    note = f"Values that are themselves objects were left out, first in entry {reader.first_unread}."
    return dataclasses.replace(roster, notes=(note, *roster.notes))


def _headings(entries: Iterable[Any]) -> list[str]:
    """Return what the members of entries are called, and those of the objects in them."""
    found: dict[str, None] = {}
    for entry in entries:
        for heading, value in entry.items() if isinstance(entry, Mapping) else ():
            found[harmless(str(heading)).strip()] = None
            if isinstance(value, Mapping):
                found.update(dict.fromkeys(harmless(str(inner)).strip() for inner in value))
    return list(found)


class _ObjectReader:
    """Makes rows of objects; collects what is wrong with others, and notes which is the first with a value left out."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._inside = layout.application.inside if layout.application else frozenset[str]()
        self.mistakes: list[str] = []
        self.first_unread: int | None = None
        self.has_identity = False

    def rows(self, entries: Iterable[Any]) -> Iterator[RosterRow]:
        for place, entry in enumerate(entries, 1):
            if not isinstance(entry, Mapping):
                self.mistakes.append(f'entry {place}: is no object; write {{"email": …}}')
            elif len(entry) > MAX_COLUMNS:
                self.mistakes.append(f"entry {place}: has more than {MAX_COLUMNS} members")
            else:
                cells = self._cells(place, entry)
                if _is_long(cells):
                    self.mistakes.append(f"entry {place}: a value is longer than {MAX_CELL} characters")
                else:
                    yield RosterRow(place, cells)

    def _cells(self, place: int, entry: Mapping[Any, Any]) -> Mapping[str, Cell]:
        cells: dict[str, Cell] = {}
        for heading, value in _members(entry, self._inside):
            name = harmless(heading).strip()
            read = _cells_of(name, self._layout.field_of(name), value)
            if read is None:
                self.first_unread = self.first_unread or place
            else:
                cells |= read
        self.has_identity = self.has_identity or self._layout.names_somebody(cells)
        return cells


def _is_long(cells: Mapping[str, Cell]) -> bool:
    return any(
        len(cell) > MAX_CELL for value in cells.values() for cell in ((value,) if isinstance(value, str) else value)
    )


def json_entries(text: str) -> list[Any]:
    """Return the entries of a roster in JSON, as they stand there. Raises Refused for what is no list of them."""
    try:
        document = loads_in_steps(text, MAX_ENTRIES)
    except TooManyItems:
        raise too_many() from None
    except json.JSONDecodeError as error:
        raise refused(
            f"The roster is not JSON: line {error.lineno}, column {error.colno} cannot be read.",
            'Write a list of objects, e.g. [{"email": "ann@example.com", "roles": ["reader"]}].',
        ) from error
    except ValueError as error:  # a list in a list in a list …; NaN
        raise refused("The roster is JSON that is nested too deeply, or holds what is no value of JSON.", "") from error
    entries = _listed(document) if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise refused(
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
    """Raise Refused for one page of several: who is on another one would be shown as missing or as unexpected."""
    members = {squeezed(name): member for name, member in document.items()}
    totals = [members[name] for name in _TOTALS if type(members.get(name)) is int]
    if any(total > len(entries) for total in totals):
        found = f"{len(entries):,} of {max(totals):,} entries"
    elif any(members.get(name) for name in _NEXT_PAGES):
        found = f"{len(entries):,} entries, and says where the next ones are"
    else:
        return
    raise refused(
        f"The roster is one page of a list: it holds {found}.", "Read all pages, and put their entries into one list."
    )


def _members(entry: Mapping[Any, Any], inside: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield the members of an entry; those that SCIM keeps in an extension (employeeNumber …) as the entry's own.

    Those of the members called as in `inside` as well.
    """
    for heading, value in entry.items():
        name = str(heading)
        if isinstance(value, Mapping) and (name.lower().startswith(_SCIM_EXTENSION) or squeezed(name) in inside):
            for inner, part in value.items():
                if inner not in entry:
                    yield str(inner), part
        elif not (isinstance(value, Mapping | list) and squeezed(name) in _ABOUT_THE_ENTRY):
            yield name, value


def _cells_of(name: str, known: str | None, value: Any) -> Mapping[str, Cell] | None:
    """Return one member of an entry, of the field `known`, as cells under headings; None: it is too deep.

    What SCIM exports nest is read: `emails` with a primary one, `name` in parts, `roles` with a value or name.
    """
    match value:
        case None:
            return {}
        case bool():
            return {name: "true" if value else "false"}
        case str() | int() | float():
            return {name: str(value)}
        case Mapping() if known == "name":
            return _parts_of_name(value)
        case list() | tuple() if known == "email":
            return _addresses(name, value)
        case list() | tuple() if known == "roles":
            roles = [text for text, _ in map(_item, value) if text is not None]
            return {name: tuple(roles)} if len(roles) == len(value) else None
    return None


def _parts_of_name(value: Mapping[Any, Any]) -> Mapping[str, Cell] | None:
    if not all(isinstance(part, str | None) for part in value.values()):
        return None
    parts = {squeezed(str(key)): part for key, part in value.items() if part}
    spelt = (("formatted", "name"), ("givenname", "first name"), ("familyname", "last name"))
    return {to: str(parts[key]) for key, to in spelt if key in parts}


def _addresses(name: str, value: Sequence[Any]) -> Mapping[str, Cell] | None:
    """Return the addresses, the primary one first."""
    items = list(map(_item, value))
    if any(text is None for text, _ in items):
        return None
    ordered = sorted(items, key=lambda item: not item[1])
    return {name: tuple(str(text) for text, _ in ordered)} if ordered else {}


def _item(item: Any) -> tuple[str | None, bool]:
    """Return an item of a list as text, and whether it says that it is the primary one."""
    if isinstance(item, str):
        return item, False
    if not isinstance(item, Mapping):
        return None, False
    text = next((item[key] for key in ("value", "email", "name", "display") if isinstance(item.get(key), str)), None)
    return text, item.get("primary") is True or item.get("is_primary") is True
