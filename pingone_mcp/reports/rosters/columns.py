"""Which column of a list means what: by the application that wrote it, by usual spellings, or as a person says.

A heading that nobody knows becomes an attribute under its own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from pingone_mcp.directory.matching.attributes import squeezed
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import did_you_mean, nearest
from pingone_mcp.reports.rosters.applications import application_of

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
_FIELDS: Mapping[str, str] = MappingProxyType({word: known for known, words in _SPELLINGS.items() for word in words})
_IDENTITIES = ("email", "username", "external_id", "handle")
_OWN_FIELDS = (*_IDENTITIES, "name", "roles", "active", "inactive", "unused")  # of an entry; others are attributes
MAPPABLE = tuple("status" if name == "active" else name for name in _SPELLINGS)
"""What a person may say a column is."""
_SHAPES = 1_000
_SHOWN = 80
_LISTED = 20


class RowColumns(NamedTuple):
    """The headings of each known field, the best first, and names and headings of all that are attributes."""

    of: Mapping[str, tuple[str, ...]]
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What was read as what: `fields` have their headings, `others` are compared with attributes of the same name.

    `mapped` are the fields of which a person said which column they are.
    """

    application: str | None
    fields: Mapping[str, tuple[str, ...]]
    others: tuple[str, ...]
    mapped: frozenset[str] = frozenset()

    def identities(self) -> Mapping[str, tuple[str, ...]]:
        """Return the headings of the fields that people are looked for by."""
        return {name: self.fields[name] for name in _IDENTITIES if name in self.fields}

    def compared(self) -> tuple[str, ...]:
        """Return the names of what an account says that may be compared with the directory."""
        own = {*_IDENTITIES, "name"} - {"handle"}
        names = [name for name in self.fields if name in own or name not in _OWN_FIELDS]
        if {"first_name", "last_name"} <= set(names) and "name" not in names:
            names.append("name")
        return (*names, *self.others)

    def to_json(self) -> JsonObject:
        """Return JSON-ready data."""
        return {
            "application": self.application,
            "fields": {name: list(map(_short, headings)) for name, headings in self.fields.items()},
            "others": list(map(_short, self.others[:_LISTED])),
        }


class Layout:
    """Says of each row which column is which. `headings` are those that the list is known by, `mapped` as `mapping_of`.

    Raises Refused for a column that is mapped and not there.
    """

    def __init__(self, headings: Iterable[str], mapped: Mapping[str, str] | None = None) -> None:
        known = list(headings)
        self.application = application_of({squeezed(heading) for heading in known})
        self._mapped = {name: _heading_of(heading, known) for name, heading in (mapped or {}).items()}
        self._by_application: dict[str, list[str]] = {}
        for name, words in self.application.columns.items() if self.application else ():
            for word in words:
                self._by_application.setdefault(word, []).append(name)
        self._shapes: dict[tuple[str, ...], RowColumns] = {}

    def columns(self, written: tuple[str, ...]) -> RowColumns:
        """Return which of the headings of a row, those of its cells that are not empty, are which fields."""
        found = self._shapes.get(written)  # the rows of a list are alike
        if found is None:
            found = self._columns(written)
            if len(self._shapes) < _SHAPES:
                self._shapes[written] = found
        return found

    def field_of(self, heading: str) -> str | None:
        """Return the field that a heading means first, if it is known."""
        return next(iter(self._fields_of(heading)), None)

    def is_mapped(self, name: str) -> bool:
        """Say whether a person said which column this field is."""
        return name in self._mapped

    def names_somebody(self, headings: Iterable[str]) -> bool:
        """Say whether anybody can be found by some of these columns."""
        return any(name in _IDENTITIES for heading in headings for name in self._fields_of(heading))

    def used(self) -> Columns:
        """Return what was read as what in the rows so far."""
        fields: dict[str, dict[str, None]] = {}
        others: dict[str, None] = {}
        for shape in self._shapes.values():
            for name, headings in shape.of.items():
                fields.setdefault(name, {}).update(dict.fromkeys(headings))
            others.update({heading: None for name, heading in shape.attributes if name not in shape.of})
        order = ("email", "username", "handle", *_SPELLINGS)
        return Columns(
            application=self.application.name if self.application else None,
            fields={name: tuple(fields[name]) for name in dict.fromkeys(order) if name in fields},
            others=tuple(others),
            mapped=frozenset(self._mapped),
        )

    def _columns(self, written: tuple[str, ...]) -> RowColumns:
        found: dict[str, list[str]] = {}
        for heading in written:
            for name in self._fields_of(heading):
                found.setdefault(name, []).append(heading)
        of = {name: self._ordered(name, headings) for name, headings in found.items()}
        used = {heading for headings in of.values() for heading in headings}
        known = [(name, headings[0]) for name, headings in of.items() if name not in _OWN_FIELDS]
        others = [(one, one) for one in written if one and one not in used and not self._is_displaced(one)]
        return RowColumns(of, (*known, *others))

    def _fields_of(self, heading: str) -> Sequence[str]:
        word = squeezed(heading)
        said = [name for name, mapped in self._mapped.items() if squeezed(mapped) == word]
        if said:
            return said
        names = self._by_application.get(word)
        if names is None:
            usual = _FIELDS.get(word)
            taken = self.application is not None and (usual in _OWN_FIELDS or usual in self.application.columns)
            names = [] if usual is None or taken else [usual]
        return [name for name in names if name not in self._mapped]

    def _ordered(self, name: str, headings: list[str]) -> tuple[str, ...]:
        """Return the headings of a field: all that an application has for it, or the one that is spelled as usual."""
        if name in self._mapped:
            return tuple(headings)
        if self.application is not None and name in self.application.columns:
            words = self.application.columns[name]
            return tuple(sorted(headings, key=lambda heading: words.index(squeezed(heading))))
        words = _SPELLINGS[name]
        return (min(headings, key=lambda heading: words.index(squeezed(heading))),)

    def _is_displaced(self, heading: str) -> bool:
        """Say whether a column would be a field of an entry, had not the application or a person another one for it."""
        usual = _FIELDS.get(squeezed(heading))
        return usual in self._mapped or (self.application is not None and usual in _IDENTITIES)


def mapping_of(given: Iterable[str]) -> Mapping[str, str]:
    """Read what a person says of columns, each as `email=Work Mail`. Raises Refused for what is written otherwise."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, heading = (part.strip() for part in text.partition("="))
        name = name.lower().replace("-", "_")
        if not equals or not heading:
            raise Refused(
                "A column is mapped as FIELD=HEADING.", 'Write for example email="Work Mail".', code="BAD_MAP"
            )
        if name not in MAPPABLE:
            hint = did_you_mean(name, MAPPABLE, most=1)
            raise Refused(
                f"There is no field {harmless(name[:_SHOWN])} that a column can be.",
                f"{hint} The fields are: {', '.join(MAPPABLE)}.".lstrip(),
                code="BAD_MAP",
            )
        field = "active" if name == "status" else name
        if field in found:
            raise Refused(
                f"Two columns are said to be the {name}: {quoted([harmless(found[field]), harmless(heading)])}.",
                "Say of a field once which column it is.",
                code="BAD_MAP",
            )
        found[field] = heading
    return found


def quoted(headings: Iterable[str]) -> str:
    """Return headings as a sentence names them."""
    return ", ".join(f"“{_short(heading)}”" for heading in headings)


def _heading_of(wanted: str, headings: Sequence[str]) -> str:
    word = squeezed(wanted)
    for heading in headings:
        if squeezed(heading) == word:
            return heading
    near = nearest(word, map(squeezed, headings), most=1)
    meant = list(dict.fromkeys(heading for one in near for heading in headings if squeezed(heading) == one))
    hint = f"Did you mean {' or '.join(quoted([one]) for one in meant)}? " if meant else ""
    raise Refused(
        f"The roster has no column {quoted([harmless(wanted)])}.",
        f"{hint}Its columns are: {quoted(list(dict.fromkeys(headings))[:_LISTED])}.",
        code="BAD_MAP",
    )


def _short(heading: str) -> str:
    return heading if len(heading) <= _SHOWN else f"{heading[: _SHOWN - 1]}…"
