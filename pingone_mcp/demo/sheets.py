"""What tools answer, as a person reads it: a few lines in columns, and what stands below them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]
"""An answer as it came, in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Lines in columns, under a `heading` where they have one, and sentences below; all of it written by others."""

    heading: Sequence[str] = ()
    lines: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()


Reading = Callable[[Facts], Sheet]

_ROWS = 3
_CHANGES = 6
_COLUMNS = ("name", "username", "status", "status_reasons", "workspace", "userCount", "default")
_MEMBERS = ("name", "title", "department", "manager", "status", "status_source", "groups")


def listed(facts: Facts) -> Sheet:
    """Read a list of users, or of whatever else has a name."""
    rows = facts["result"]
    names = [name for name in _COLUMNS if any(row.get(name) not in (None, "", []) for row in rows[:_ROWS])]
    total = "" if facts.get("total") is None else f" of {facts['total']:,}"
    rest = ", next_cursor for the rest" if facts["next_cursor"] else ""
    return Sheet(
        heading=names,
        lines=[[written(row.get(name)) for name in names] for row in rows[:_ROWS]],
        notes=[f"{counted(len(rows), 'row')}{total}{rest}{_only(len(rows))}.", *_covered(facts)],
    )


def selected(facts: Facts) -> Sheet:
    """Read what SQL has found."""
    rows = facts["rows"]
    lines = [[written(value) for value in row] for row in rows[:_ROWS]]
    return Sheet(heading=facts["columns"], lines=lines, notes=[f"{counted(len(rows), 'row')}{_only(len(rows))}."])


def one_user(facts: Facts) -> Sheet:
    """Read one user whole: the main fields, and how many more there are."""
    return Sheet(
        lines=[(name, written(facts[name])) for name in _MEMBERS if facts.get(name) not in (None, "", [])],
        notes=[f"And {counted(sum(name not in _MEMBERS for name in facts), 'field')} more."],
    )


def synced(facts: Facts) -> Sheet:
    """Read what came of a sync."""
    if facts.get("changes"):
        what = ("changes", ", ".join(f"{number:,} {kind}" for kind, number in facts["changes"].items()))
    else:
        what = ("holds", ", ".join(f"{facts['counts'][name]:,} {name}" for name in ("users", "groups", "memberships")))
    return Sheet(lines=[("state", f"{facts['state']}, {facts['mode']}"), what])


def changed(facts: Facts) -> Sheet:
    """Read what changed: of users what from and to what, of memberships how many, and who did it."""
    rows = facts["result"]
    users = [row for row in rows if row["kind"].startswith("user.")]
    others = Counter(row["kind"] for row in rows if not row["kind"].startswith("user."))
    actors = Counter(row["actor"] for row in rows if row.get("actor"))
    said = [f"{number:,} {kind}" for kind, number in sorted(others.items())]
    known = [f"{number:,} of them by {actor}" for actor, number in sorted(actors.items())]
    return Sheet(
        heading=("kind", "user", "what"),
        lines=[(row["kind"], row["user"].get("username", ""), _change(row)) for row in users[:_CHANGES]],
        notes=[f"And {', '.join(said) or 'nothing else'}.", f"{', '.join([counted(len(rows), 'change'), *known])}."],
    )


def _change(row: Facts) -> str:
    before, after = row.get("before") or {}, row.get("after") or {}
    if not before or not after:
        whole = after or before
        return ", ".join(written(whole[name]) for name in ("title", "department") if whole.get(name))
    if before.get("status") != after.get("status"):
        reasons = written(after.get("status_reasons"))
        return f"{written(before.get('status'))} → {written(after.get('status'))}{f' ({reasons})' if reasons else ''}"
    names = [name for name in after if name != "custom_attributes"]  # the same once more, as PingOne has it
    return ", ".join(f"{name}: {written(before.get(name))} → {written(after.get(name))}" for name in names)


_DRIFT = {
    "missing": "has an account, but left the directory",
    "status_mismatches": "is active there, but {status} here",
    "unexpected": "is active here, but has no account there",
}


def drifted(facts: Facts) -> Sheet:
    """Read a comparison: who should not be there any more, and who is missing there."""
    counts = facts["counts"]
    lines = [
        (kind, _person(found), words.format(status=_status(found.get("person") or {})))
        for kind, words in _DRIFT.items()
        for found in facts.get(kind, ())[:_ROWS]
    ]
    rest = sum(counts[kind] for kind in _DRIFT) - len(lines)
    more = f" {counted(rest, 'more finding')}." if rest else ""
    matched = f"{counted(counts['entries'], 'account')}; {counts['matched']:,} belong to somebody in the directory."
    return Sheet(lines=lines, notes=[f"{matched}{more}"])


def _person(found: Facts) -> str:
    one = found.get("account") or found["person"]
    return str(one.get("username") or one.get("email") or "")


def _status(person: Facts) -> str:
    return " ".join(filter(None, (person.get("status"), f"({written(person.get('status_reasons'))})")))


def reviewed(facts: Facts) -> Sheet:
    """Read who has access: those first who should have none, then those with most to look at."""
    people = sorted(facts["people"], key=lambda one: "inactive_with_access" not in one.get("flags", ()))
    lines = [[written(one.get(name)) for name in ("username", "status", "flags")] for one in people[:_ROWS]]
    counts = facts["counts"]
    flags = {name.removeprefix("flag."): number for name, number in counts.items() if name.startswith("flag.")}
    said = ", ".join(
        f"{name} {'unknown' if number is None else number}" for name, number in flags.items() if number != 0
    )
    return Sheet(
        heading=("username", "status", "flags"),
        lines=lines,
        notes=[f"{counted(counts['people'], 'person', 'people')} with access; {said or 'no flags'}."],
    )


def exported(facts: Facts) -> Sheet:
    """Read the manifest of a file."""
    manifest = facts["manifest"]
    names = ("rows", "complete", "sha256")
    return Sheet(lines=[("file", facts["resource"]), *((name, written(manifest[name])) for name in names)])


def granted(facts: Facts) -> Sheet:
    """Read the roles of one user, each with the rule that gave it."""
    return Sheet(
        heading=("role", "by rule", "because of group"),
        lines=[(one["role"], str(one["rule"]), written(one.get("groups"))) for one in facts["granted"]],
    )


def _covered(facts: Facts) -> Iterator[str]:
    for reason, how in facts.get("coverage", {}).items():
        verdict = "complete" if how["complete"] else "not complete"
        yield f"{reason}: {verdict}, by {how['how']}.{f' {note}' if (note := how.get('note')) else ''}"


def _only(number: int) -> str:
    return f"; {_ROWS} are shown here" if number > _ROWS else ""


def written(value: object) -> str:
    """Write a value for people: names rather than ids where there are some."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(written(item) for item in value)
        case {"name": str(name), **rest}:
            return f"{name} ({kind})" if (kind := rest.get("type")) else name
        case {"username": str(username)}:
            return username
        case dict():
            return ", ".join(f"{name} {written(member)}" for name, member in value.items())
        case _:
            return str(value)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write how many there are: no rows, 1 row, 2 rows."""
    return f"{f'{number:,}' if number else 'no'} {noun if number == 1 else plural or f'{noun}s'}"
