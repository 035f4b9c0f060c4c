"""A row of a review as one block of plain text, to be pasted into a ticket: a line for each thing to know.

What stands in a directory is data: each value is one line, without hidden characters, and not too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import plain
from pingone_mcp.directory.text.harmless import harmless

_LONGEST = 300
_APART = frozenset({"kind", "person_id"})
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "app_value": "the application says",
        "directory_value": "the directory says",
        "matched_on": "matched by",
        "also_lines": "shares a user with line",
        "candidate_count": "fits so many users",
        "candidates": "fits",
        "status_reasons": "because",
        "roles": "roles that exclude each other",
    }
)


def ticket(title: str, facts: Iterable[tuple[str, Any]]) -> str:
    """Return a block with a title and a line for each fact that is known."""
    lines = (f"{name}: {text}" for name, value in facts if (text := in_line(value)))
    return "\n".join((in_line(title), *lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingLine:
    """A finding to be looked at: who or what it is about, what there is to say by name, and the text for a ticket.

    `person_id` is that of the user of the directory whom it is about (None: there is none).
    """

    who: str
    person_id: str | None
    facts: Sequence[tuple[str, str]]
    ticket: str


def finding_line(row: JsonObject, title: str, about: Sequence[tuple[str, Any]]) -> FindingLine:
    """Return a flat row (`finding_rows`) as it is shown; a ticket has `title`, what it is `about`, and the row."""
    facts = [
        (_name(column), text) for column, value in row.items() if column not in _APART and (text := in_line(value))
    ]
    who = _who(row)
    person = row.get("person_id")
    return FindingLine(
        who=who,
        person_id=person,
        facts=[(name, text) for name, text in facts if text != who],
        ticket=ticket(title, (*about, *facts, ("person id", person))),
    )


def _who(row: JsonObject) -> str:
    names = ("name", "username", "email", "person_id", "app_email", "app_username", "app_external_id", "app_name")
    of = next((text for name in names if (text := in_line(row.get(name)))), "")
    return of or in_line(row.get("role")) or in_line(row.get("group")) or "an account without a name"


def _name(column: str) -> str:
    if column in _NAMES:
        return _NAMES[column]
    if column.startswith("app_"):
        return f"{column.removeprefix('app_').replace('_', ' ')} in the application"
    return column.replace("_", " ")


def entitlement_facts(row: JsonObject) -> Iterator[tuple[str, Any]]:
    """Give what is to be known to decide about a row of an access review."""
    yield "Person", _called(row["name"] or row["username"], row["user_id"])
    yield "Username", row["username"]
    yield "Email", row["email"] if row["email"] != row["username"] else None
    yield "Department", row["department"]
    yield "Manager", _called(row["manager"], row["manager_email"])
    yield "Status", ", ".join((row["status"], *row["status_reasons"]))
    yield "MFA", row["mfa"]
    yield "Privileged", row["privileged"]
    if row["kind"] == "none":
        yield "Has", "nothing that is known"
    else:
        yield "Has", f"{row['kind']} {_called(row['entitlement'], row['entitlement_id'])}"
        yield "How", row["how"]
    yield "Through", row["through"]
    yield "Scope", " ".join(filter(None, (row["scope_type"], row["scope"] or row["scope_id"])))
    yield "Since", row["since"]
    yield "Last sign-on", row["last_sign_on"] or "none is known"
    yield "Deserves a look", [flag.replace("_", " ") for flag in row["flags"]]


def in_line(value: Any) -> str:
    """Return a value as a text of one line; empty where there is nothing."""
    match value:
        case None | "":
            return ""
        case list() | tuple():
            text = "; ".join(in_line(one) for one in value)
        case datetime():
            text = str(plain(value))
        case _:
            text = " ".join(harmless(str(value)).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _called(name: str | None, identity: str | None) -> str:
    """Return a name with what tells it from others of the same name."""
    return f"{name} ({identity})" if name and identity else name or identity or ""
