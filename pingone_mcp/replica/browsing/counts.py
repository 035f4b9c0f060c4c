"""How many people there are of each status, population, department and group: what a person may filter by."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pingone_mcp.replica.asking.conditions import EVERYBODY, Condition, both, one_of
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS
from pingone_mcp.replica.browsing.people import GONE, as_shown, served
from pingone_mcp.replica.store.edition import edition_of

MOST = 200
"""So many departments and groups are named, the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChoice:
    """One value to filter by: as a question names it, as people call it, and how many have it (None: unknown)."""

    value: str
    name: str
    count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChoices:
    """All that can be chosen in one edition of the copy; groups are empty where the copy does not hold them."""

    edition: str
    people: int
    statuses: tuple[FilterChoice, ...]
    populations: tuple[FilterChoice, ...]
    departments: tuple[FilterChoice, ...]
    groups: tuple[FilterChoice, ...]
    removed: int


def choices(copy: Snapshot) -> FilterChoices:
    """Return what can be chosen, with how many people have it."""
    who = both(served(copy), EXISTS)
    statuses, populations, departments = Counter[str](), Counter[str](), Counter[str]()
    rows = copy.database.execute(
        "SELECT u.status, u.population_id, u.department, count(*) FROM users_ u "  # noqa: S608 - our own text
        f"WHERE {who.sql} GROUP BY u.department, u.status, u.population_id",
        who.values,
    )
    for status, population, department, count in rows:
        statuses[status] += count
        if population is not None:
            populations[population] += count
        if department:
            departments[as_shown(department)] += count
    gone = both(served(copy), GONE)
    (removed,) = copy.database.execute(f"SELECT count(*) FROM users_ u WHERE {gone.sql}", gone.values).fetchone()  # noqa: S608
    return FilterChoices(
        edition=edition_of(copy.database),
        people=sum(statuses.values()),
        statuses=tuple(FilterChoice(value=name, name=name, count=count) for name, count in statuses.most_common()),
        populations=_populations(copy, populations),
        departments=tuple(
            FilterChoice(value=one, name=one, count=count) for one, count in departments.most_common(MOST)
        ),
        groups=_groups(copy) if copy.has_memberships else (),
        removed=removed,
    )


def _populations(copy: Snapshot, counts: Counter[str]) -> tuple[FilterChoice, ...]:
    """Return the populations that are served, by name; where several environments are, with the name of theirs."""
    found = [
        FilterChoice(
            value=place.id,
            name=f"{place.name or place.id} ({copy.places.environment_names[environment] or environment})"
            if copy.places.scope.has_several_environments
            else place.name or place.id,
            count=counts[place.id],
        )
        for environment in copy.places.environments(None)
        for place in copy.places.populations(environment)
    ]
    return tuple(sorted(found, key=lambda one: (one.name.casefold(), one.value)))


def _groups(copy: Snapshot) -> tuple[FilterChoice, ...]:
    """Return the largest groups; where populations narrow what is served, how large they are is not counted."""
    where = served_groups(copy)
    if copy.places.scope.populations:
        rows = copy.database.execute(
            f"SELECT u.id, u.name, NULL FROM groups_ u WHERE {where.sql} ORDER BY u.name COLLATE NOCASE, u.id LIMIT ?",  # noqa: S608 - our own text
            (*where.values, MOST),
        )
    else:
        rows = copy.database.execute(
            "SELECT u.id, u.name, m.members FROM (SELECT group_id, count(*) AS members FROM memberships_ "  # noqa: S608 - our own text
            f"GROUP BY group_id) m JOIN groups_ u ON u.id = m.group_id WHERE {where.sql} "
            "ORDER BY m.members DESC, u.id LIMIT ?",
            (*where.values, MOST),
        )
    found = [FilterChoice(value=identity, name=name or identity, count=count) for identity, name, count in rows]
    return tuple(sorted(found, key=lambda one: (one.name.casefold(), one.value)))


def served_groups(copy: Snapshot) -> Condition:
    """Return which groups, rows of groups_ named `u`, are served."""
    here = one_of("u.environment_id", copy.places.environments(None))
    allowed = sorted(copy.places.scope.populations)
    if not allowed:
        return both(here, EVERYBODY)
    inside = one_of("u.population_id", allowed)
    return both(here, Condition(f"(u.population_id IS NULL OR {inside.sql})", inside.values))
