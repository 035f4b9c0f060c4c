"""People of the local copy by name, as somebody finds them who types a few letters of what they are called."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

from pingone_mcp.directory.models import User
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Counted, Position
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.conditions import (
    EVERYBODY,
    NAMES,
    Condition,
    bindable,
    both,
    member,
    one_of,
    words_match,
)
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS, listed
from pingone_mcp.replica.store.letters import spoken
from pingone_mcp.replica.store.schema import REMOVED, USER

COUNTED = 2_000
"""So many are counted of those whom a question finds; of more it is said that there are more."""
_LISTED = 15  # times as many are still listed before anybody is looked at
_FEWER = 2  # times fewer are counted where each has to be looked at
GONE = Condition(f"(u.status_reasons <> '' AND {REMOVED})")
"""Who was removed; an index has only those whose status has a reason."""
_SEARCHED = f"{NAMES} external_id"
_NOBODY = Condition("0")
_TEXTS = " || char(10) || ".join(f"coalesce(u.{name}, '')" for name in _SEARCHED.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleQuestion:
    """Which people: every part narrows further. `population` and `group` are ids or names, `department` a whole one.

    `removed` asks for those who are gone, in place of those who are there.
    """

    query: str | None = None
    status: str | None = None
    population: str | None = None
    group: str | None = None
    department: str | None = None
    removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PeoplePage(Page[User]):
    """A page of people; where there are more than are counted, `total` is None, and `about` how many at least."""


class _PlaceInOrder(NamedTuple):
    """The place of somebody in the order."""

    last_name: str | None
    first_name: str | None
    number: int


def people_page(
    copy: Snapshot, question: PeopleQuestion, at: Position | None, page_size: int, *, counted: int = COUNTED
) -> PeoplePage:
    """Return the people at a position, by family name, then by given name; who has no family name comes last.

    Of more than `counted` it is not said how many they are; they are found in another way, in the same order. Raises
    Refused for names of places that are none, and for a position behind somebody whom the copy does not know.
    """
    wanted = _wanted(copy, question, counted)
    total, is_exact = _total(copy, question, wanted, at)
    rows = _rows(copy, wanted.where, _place(copy, at), page_size + 1, broad=total >= wanted.most)
    kept = rows[:page_size]
    position = at or Position(source="replica")
    following = None
    if len(rows) > page_size:
        following = dataclasses.replace(position, after=kept[-1][0], counted=Counted(said=total, version=copy.version))
    return PeoplePage(
        items=tuple(listed(copy, row[1:], removed=question.removed) for row in kept),
        at=position,
        next=following,
        scanned=len(kept),
        total=total if is_exact else None,
        about=total,
        gaps=copy.gaps(None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Whom a question means, and up to how many of them are counted.

    `called` is how many the index of words has, where it was asked, counted up to `listed`.
    """

    where: Condition
    most: int
    called: int = 0
    listed: int = 0


def _wanted(copy: Snapshot, question: PeopleQuestion, counted: int) -> _Wanted:
    """Return whom a question means. Raises Refused, and NotHeld for a group where groups are not in the copy."""
    places = copy.places
    environments = places.environments(None)
    there = GONE if question.removed else EXISTS
    parts = [served(copy)]
    if question.status is not None:
        parts.append(Condition("u.status = ?", (question.status,)))
    if question.population is not None:
        homes = places.homes(environments, question.population)
        parts.append(Condition("u.population_id = ?", (homes[0].population,)) if homes else _NOBODY)
    if question.group is not None:
        copy.need_memberships()
        parts.append(member(places.find_group(None, question.group)[1]))
    if question.department is not None:
        parts.append(_in_department(copy, bindable(question.department)))
    if question.query is None:
        return _Wanted(where=both(there, *parts), most=counted)
    words = _words(question.query)
    match = words_match(words, _SEARCHED)
    if match is None:
        return _Wanted(where=_NOBODY, most=counted)
    most = counted * _LISTED
    number = 0 if question.removed else _number_called(copy, match, most)
    if not question.removed and number < most:
        called = Condition("u.number IN (SELECT p.rowid FROM people p WHERE p.people MATCH ?)", (match,))
        return _Wanted(where=both(called, *parts), most=counted, called=number, listed=most)
    # Those who are gone are in no index. And where many are called so, to look at each who is met on the way takes less
    # time than to list them all.
    wanted = "\n".join(word for one in words if (word := spoken(bindable(one))))
    return _Wanted(
        where=both(there, *parts, Condition(f"begins_words({_TEXTS}, ?)", (wanted,))),
        most=max(1, counted // _FEWER),
        called=number,
        listed=most,
    )


def _in_department(copy: Snapshot, name: str) -> Condition:
    """Return who is in a department that is shown so; what its name hides does not count."""
    rows = copy.database.execute("SELECT DISTINCT department FROM users_ WHERE department IS NOT NULL")
    return one_of("u.department", sorted(one for (one,) in rows if as_shown(one) == as_shown(name)))


def as_shown(name: str) -> str:
    """Return a name without what it hides, in one line, as people see and choose it."""
    return " ".join(harmless(name).split())


def served(copy: Snapshot) -> Condition:
    """Return who is served: everybody, without a look at each, where the copy has nobody else."""
    environments = copy.places.environments(None)
    if not copy.places.scope.populations and set(environments) == set(copy.places.organizations):
        return EVERYBODY
    return copy.places.served(environments)


def _words(query: str) -> list[str]:
    return query.replace(",", " ").split()


def _number_called(copy: Snapshot, match: str, most: int) -> int:
    """Return how many the index of words has, who exist and no others; of more than `most` it returns that."""
    query = "SELECT count(*) FROM (SELECT 1 FROM people WHERE people MATCH ? LIMIT ?)"
    (number,) = copy.database.execute(query, (match, most)).fetchone()
    return int(number)


def _total(copy: Snapshot, question: PeopleQuestion, wanted: _Wanted, at: Position | None) -> tuple[int, bool]:
    """Return how many there are, as far as they are counted, and whether that is all."""
    is_called = served(copy) is EVERYBODY and question == PeopleQuestion(query=question.query) and wanted.called > 0
    most = wanted.listed if is_called else wanted.most
    known = at.counted if at is not None else Counted()
    if known.said is not None and known.version == copy.version:
        return known.said, known.said < most
    if is_called:
        return wanted.called, wanted.called < most
    (total,) = copy.database.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM users_ u WHERE {wanted.where.sql} LIMIT ?)",  # noqa: S608 - our own text; what a question holds is bound
        (*wanted.where.values, most),
    ).fetchone()
    return int(total), total < most


def _place(copy: Snapshot, at: Position | None) -> _PlaceInOrder | None:
    """Return where the one is before whom a page begins. Raises Refused."""
    if at is None or at.after is None:
        return None
    row = copy.database.execute("SELECT last_name, first_name, number FROM users_ WHERE id = ?", (at.after,)).fetchone()
    if row is None:
        raise Refused(
            "The local copy was made anew, so this place in the list is gone.", "Begin anew.", code="STALE_CURSOR"
        )
    return _PlaceInOrder(*row)


def _rows(
    copy: Snapshot, wanted: Condition, behind: _PlaceInOrder | None, most: int, *, broad: bool
) -> list[tuple[Any, ...]]:
    """Return so many rows behind a place: first those with a family name, then those without.

    Where many are wanted, the index by name is gone through until enough are found; where few are, these are sorted.
    """
    found: list[tuple[Any, ...]] = []
    source, plus = ("users_ u INDEXED BY users_by_last_name_", "") if broad else ("users_ u", "+")
    for named in (True, False):
        if behind is not None and behind.last_name is None and named:
            continue
        begins = behind if behind is not None and (behind.last_name is not None) == named else None
        name = Condition(f"{plus}u.last_name IS {'NOT ' if named else ''}NULL")
        where = both(name, _behind(begins, plus), wanted)
        found += copy.database.execute(
            f"SELECT u.id, {USER} FROM {source} WHERE {where.sql} "  # noqa: S608 - our own text; what a question holds is bound
            f"ORDER BY {plus}u.last_name COLLATE NOCASE, u.first_name COLLATE NOCASE, u.number LIMIT ?",
            (*where.values, most - len(found)),
        ).fetchall()
        if len(found) >= most:
            break
    return found


def _behind(place: _PlaceInOrder | None, plus: str) -> Condition:
    """Return that a row with a family name, or one without, comes behind such a place; of equals none is the first."""
    if place is None:
        return EVERYBODY
    later = _later(f"{plus}u.first_name", place.first_name, Condition("u.number > ?", (place.number,)))
    if place.last_name is None:
        return later
    begins = Condition(f"{plus}u.last_name >= ? COLLATE NOCASE", (place.last_name,))
    return both(begins, _later(f"{plus}u.last_name", place.last_name, later))


def _later(column: str, value: str | None, equal: Condition) -> Condition:
    if value is None:
        return Condition(f"({column} IS NOT NULL OR {equal.sql})", equal.values)
    return Condition(
        f"({column} > ? COLLATE NOCASE OR ({column} = ? COLLATE NOCASE AND {equal.sql}))",
        (value, value, *equal.values),
    )
