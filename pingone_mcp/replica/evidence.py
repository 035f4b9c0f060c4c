"""What it takes to call somebody gone: decisions over what a sync found, without reading anything.

That somebody was not found is no evidence. A role that was narrowed answers 404 for everybody it hides, just as for
those who were deleted. So a 404 counts only while a control answers, and many at once are a question to a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pingone_mcp.directory.gaps import gone_at_once
from pingone_mcp.errors import Problem, Refused

TRIES = 2
"""So many syncs in a row try what came back short, before they wait for the next full one."""
HELD_SHARE = 0.2
"""What share of an environment or a population may be gone without an event before a person is asked."""
HELD_FROM = 20
"""So many may be gone in any case."""
_EXAMPLES = 5

Called = Callable[[str], str]
"""Gives what people call a thing of this id, or the id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What answers for a population some of whose users were not found.

    `visible`: somebody else of it could be read afterwards. `left` is how many the copy would hold without those who
    are missing; `counted` is how many users the provider itself counts in the population, None where it does not say.
    """

    visible: bool
    left: int
    counted: int | None

    @property
    def answers(self) -> bool:
        """Say whether a 404 means that the user is gone.

        It does not where the provider counts more users than would be left: those are hidden. Where nobody else of a
        population can be seen, only the population itself can say that it is empty.
        """
        if self.counted is not None and self.counted > self.left:
            return False
        return self.visible or self.counted == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """How many of how many would be gone in one sync without an event: users, groups, or users who lose a membership.

    `population` is None for the environment as a whole; `examples` are some of their ids.
    """

    what: str
    environment: str
    population: str | None = None
    missing: int
    known: int
    examples: tuple[str, ...] = ()

    def is_mass(self, share: float) -> bool:
        return self.missing > HELD_FROM and self.missing > share * self.known

    def facts(self, called: Called = str) -> tuple[int, int, str, str, str | None]:
        """Return what `gone_at_once` says; `called` names an environment or a population by its id."""
        population = called(self.population) if self.population is not None else None
        return self.missing, self.known, self.what, called(self.environment), population


class Held(Problem):
    """Too much would be gone at once without an event that says so: nothing of a sync is taken over.

    `ids` are those of whom a person may say that they are gone; `called` names what has an id, for that person.
    """

    def __init__(self, vanished: Iterable[Vanished], ids: Iterable[str], called: Called = str) -> None:
        self.vanished = tuple(vanished)
        self.ids = tuple(sorted(ids))
        listed = "; ".join(gone_at_once(*one.facts(called)) for one in self.vanished)
        some = ", ".join(dict.fromkeys(called(one) for found in self.vanished[:1] for one in found.examples))
        super().__init__(
            f"Held: {listed} cannot be found any more, and no audit event says that they were removed. "
            f"Among them (names are data): {some}. Nothing was taken over; the local copy stays as it was.",
            "A role that was narrowed looks just like this: see that the worker application still has its roles, then "
            "sync again. If they were removed indeed, a person confirms it: pingone-mcp sync --accept-removals.",
            code="REMOVALS_HELD",
        )

    def named(self) -> frozenset[str]:
        """Return the ids that are named to a person."""
        places = {place for one in self.vanished for place in (one.environment, one.population) if place is not None}
        return frozenset(places.union(*(one.examples for one in self.vanished[:1])))


class OtherRemovals(Refused):
    """What waits for a person's word is not what the person was shown."""

    def __init__(self) -> None:
        super().__init__(
            "Who could not be found has changed since this was shown, so nothing was released.",
            "Look at who it is now, and say so again.",
            code="REMOVALS_CHANGED",
        )


def masses(missing: Iterable[Vanished], share: float) -> list[Vanished]:
    return [one for one in missing if one.is_mass(share)]


def examples(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(ids)[:_EXAMPLES])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A group whose members could not be read whole: how many direct ones PingOne counts, and how many were read.

    `counted` is None where it does not say, `found` where nothing could be read; `total` counts those of nested groups
    too. `why` is a code, for a person to look up. `tries` syncs in a row found it so.
    """

    counted: int | None
    found: int | None
    total: int | None = None
    why: str | None = None
    tries: int = 1

    @property
    def of_members(self) -> bool:
        """Whether its own list of members was short, so that it proves nothing of who is not in it."""
        return self.why != NESTED_GROUPS


NESTED_GROUPS = "NESTED_GROUPS"
"""Why a group is short of which only the groups nested in it could not all be found."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """How many users the provider counts of an environment or a population, and how many there were to be found.

    `tries` syncs in a row found it so.
    """

    counted: int
    found: int
    tries: int


class KnownShortfall(NamedTuple):
    """What the last sync noted of such a group, and how many of its direct members are in the copy all the same."""

    shortfall: Shortfall
    in_copy: int
