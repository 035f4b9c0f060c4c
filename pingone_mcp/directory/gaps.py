"""What an answer lacks: one class for each kind of gap, with its facts and the sentence that they make.

A gap travels as a value, inside positions too; the face that shows an answer asks for the sentence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, dataclass_transform

from pingone_mcp.advice import Spelling, setting, spelled, variable
from pingone_mcp.directory.rights import AUDIT, ROLES

_NAMED = 10
# Facts that say when something was seen, and nothing of what is lacking.
_TIMES = frozenset({"at", "since", "read_at", "known_since", "audited_since"})
HOW_TO_KNOW_ROLES = f"{setting('replica_roles', '1')} and the next sync read them of everybody, get_user of one"
WhyNoRoles = Literal["not asked for", "refused", "missed"]
_ROLES_UNREAD: Mapping[WhyNoRoles, tuple[str, str]] = {
    "not asked for": ("were read only of users that audit events named", HOW_TO_KNOW_ROLES),
    "refused": (
        "may not be read (403)",
        f"with a role that may read {ROLES.what}, such as {ROLES.given_by}, the next sync reads them",
    ),
    "missed": ("of some users could not be read", "the next full sync tries again"),
}
"""Why administrator roles are not in the copy, and what helps."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class _Value:
    """Subclasses are made, compared and type-checked like frozen dataclasses, of which thirty cost 14 ms a start."""

    def __init__(self, **facts: Any) -> None:
        vars(self).update(facts)

    @classmethod
    def facts(cls) -> tuple[str, ...]:
        """Return the names of the facts of a kind."""
        return tuple(name for kind in reversed(cls.__mro__) for name in vars(kind).get("__annotations__", ()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Value) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={fact!r}' for name, fact in vars(self).items())})"

    def _key(self) -> tuple[Any, ...]:
        return (type(self), *(getattr(self, name) for name in self.facts()))


class Gap(_Value):
    """Something that could not be read: `place` is the environment that it is missing from (None: no single one).

    `part` is the part of a listing that lacks it: a reason, a type of membership; empty where it is the whole listing.
    Facts are texts, numbers, truth values, None, and tuples of them, so that each gap can be written as JSON.
    """

    place: str | None = None
    part: str = ""

    def words(self) -> str:
        """Return the sentence without the part, with or without its full stop; settings are marks (`advice`).

        Each kind says its own.
        """
        raise NotImplementedError

    def sentence(self, spelling: Spelling = variable) -> str:
        """Return what a reader of the whole answer is shown, with settings as that reader knows them."""
        words = spelled(self.words(), spelling)
        return f"{self.part}: {words}" if self.part else words

    def note(self, spelling: Spelling = variable) -> str:
        """Return what stands among other sentences about the same part."""
        words = spelled(self.words(), spelling)
        return words if words.endswith(".") else f"{words}."

    def lack(self) -> str:
        """Return what is lacking, whenever that was seen: two answers lack the same where these are the same."""
        facts = {name: fact for name, fact in vars(self).items() if name not in _TIMES}
        return json.dumps([type(self).__name__, facts], sort_keys=True)

    def to_json(self) -> list[Any]:
        """Return the kind, and the facts that are known."""
        return [type(self).__name__, vars(self)]


def from_json(written: Sequence[Any]) -> Gap:
    """Return the gap of which `to_json` was written."""
    kind, facts = written
    return KINDS[kind](**{name: _frozen(fact) for name, fact in facts.items()})


def _frozen(fact: Any) -> Any:
    return tuple(map(_frozen, fact)) if isinstance(fact, list) else fact


def sentences(gaps: Sequence[Gap]) -> list[str]:
    """Return the sentences of gaps, in their order."""
    return [gap.sentence() for gap in gaps]


def listed_as_json(gaps: Sequence[Gap]) -> Mapping[str, list[str]]:
    """Return the member `gaps` of an answer; nothing where there is no gap."""
    return {"gaps": sentences(gaps)} if gaps else {}


class EndedEarly(Gap):
    """A list ended before all came whom PingOne counts; `doubtful` where its counts are known to be wrong at times."""

    noun: str
    counted: int
    came: int
    doubtful: bool = False

    def words(self) -> str:
        doubt = " Its counts of ranges of updatedAt may be wrong." if self.doubtful else ""
        return (
            f"PingOne counts {self.counted:,} {self.noun} in environment {self.place}, and {self.came:,} came.{doubt}"
        )


class LeftOut(Gap):
    """Rows of a list that cannot be told apart, because they have no `lacking` (an id, a time)."""

    noun: str
    lacking: str
    count: int

    def words(self) -> str:
        return f"{self.noun} without {self.lacking} were left out: {self.count:,} in environment {self.place}."


class MissingMembers(Gap):
    """The group itself counts more direct or indirect members than its list showed."""

    counted: int
    came: int

    def words(self) -> str:
        return f"the group counts {self.counted:,} such members, and {self.came:,} came."


class ShortNativeList(Gap):
    """A list of PingOne's own API ended before all came that it counts."""

    counted: int
    came: int

    def words(self) -> str:
        return f"PingOne says that it counts {self.counted:,} items here; {self.came:,} came, and no next page."


class ShortNames(Gap):
    """A list of names (environments, populations, groups) that is looked things up in lacks some."""

    noun: str
    lacking: int

    def words(self) -> str:
        where = f" of environment {self.place}" if self.place is not None else ""
        return f"PingOne's list of {self.noun}{where} lacks {self.lacking:,} of them."


class UnreadableEnvironment(Gap):
    """An environment that the credentials may not read; `or_none` where there may be none of this id at all."""

    or_none: bool = False

    def words(self) -> str:
        doubt = f", or there is none of this id ({setting('environments')})" if self.or_none else ""
        return f"not permitted (403): environment {self.place}{doubt}"


class LostPopulations(Gap):
    """Configured populations that no environment served has, or of which that is not known."""

    populations: tuple[str, ...]
    known: bool

    def words(self) -> str:
        what = "which no environment served has" if self.known else "of which it is not known whether they exist"
        return f"{setting('populations')} names {listed(self.populations)}, {what}."


class NothingServed(Gap):
    """The settings serve nothing at all; `problem` is what a question would be refused with."""

    problem: str

    def words(self) -> str:
        return self.problem


class QueryCut(Gap):
    """A search for people had too many words to look for every spelling of their names."""

    def words(self) -> str:
        return (
            "`query` has too many words for one request: not every division into given and family name was looked for"
        )


class AuditUnreadable(Gap):
    """The audit events that a part of the listing is found by may not be read."""

    def words(self) -> str:
        return (
            "The audit events could not be read (403): give the worker application a role over the environment such as "
            f"{AUDIT.given_by}."
        )


class UnattributedEvents(Gap):
    """Audit events that name no user, or no population where only some are served."""

    def words(self) -> str:
        return "Some events do not say which user or population they are about, so they were left out."


class CopyFromFuture(Gap):
    """The copy bears a time that has not come."""

    at: str

    def words(self) -> str:
        return f"the copy is of {self.at}, which has not come yet: a clock is or was wrong, and a sync finds out which"


class HeldSync(Gap):
    """A sync waits for a person, because too many would be gone: `missing` has what `gone_at_once` says, by place."""

    at: str
    missing: tuple[tuple[int, int, str, str, str | None], ...]

    def words(self) -> str:
        listed_ = "; ".join(gone_at_once(*one) for one in self.missing)
        return f"held since {self.at}, nothing of it was taken over: {listed_} could not be found"


class FailedSync(Gap):
    """The last sync came to nothing; `outcome` is how it ended."""

    at: str
    outcome: str

    def words(self) -> str:
        return f"the sync of {self.at} came to nothing ({self.outcome})"


class PopulationNotCopied(Gap):
    """A configured population that no environment of the copy has."""

    population: str

    def words(self) -> str:
        return f"no environment served has the configured population {self.population}"


class EarlierChanges(Gap):
    """The question reaches further back than the copy: of before there is only what the audit still showed."""

    known_since: str
    audited_since: str

    def words(self) -> str:
        return (
            f"changes before {self.known_since} are not known, but for removals, deactivations and locks that PingOne's "
            f"audit told of since {self.audited_since}"
        )


class Unrefreshed(Gap):
    """The last syncs could not read an environment, which is in the copy as it was."""

    read_at: str

    def words(self) -> str:
        return f"not read since {self.read_at}: environment {self.place}"


class UnseenRemovals(Gap):
    """Without audit events, removals are seen by full syncs only."""

    since: str

    def words(self) -> str:
        return (
            f"removals since {self.since} not seen, for audit events cannot be read ({AUDIT.taken_by}): "
            f"environment {self.place}"
        )


class NotCopied(Gap):
    """Groups or populations of an environment that a sync could not read, or not whole."""

    what: Literal["groups", "some groups", "populations"]

    def words(self) -> str:
        lack = {
            "groups": "groups cannot be read",
            "some groups": "PingOne counts more groups than its list showed",
            "populations": "populations could not be read whole",
        }[self.what]
        return f"{lack}: environment {self.place}"


class MissingUsers(Gap):
    """PingOne counts more users of an environment than a sync could read."""

    counted: int
    came: int

    def words(self) -> str:
        return f"PingOne counts {self.counted:,} users, and {self.came:,} could be read: environment {self.place}"


class UnprovenRemovals(Gap):
    """Users whom a sync did not find, and of whom nothing says that they are gone."""

    count: int

    def words(self) -> str:
        return (
            f"{self.count:,} users could not be found, and nothing proves that they were removed; they are shown as they "
            f"were: environment {self.place}"
        )


class UsersWithoutId(Gap):
    count: int

    def words(self) -> str:
        return f"{self.count:,} users without an id are left out: environment {self.place}"


class UnreadableValues(Gap):
    """Users of whom some values could not be understood: how many, and the first of them by id."""

    count: int
    users: tuple[str, ...]

    def words(self) -> str:
        shown = _first(self.users, self.count)
        return f"some values of {self.count:,} users could not be read, {shown}: environment {self.place}"


class ShortPopulation(Gap):
    """PingOne counts more users in a population than the copy holds."""

    population: str
    counted: int
    held: int

    def words(self) -> str:
        return (
            f"PingOne counts {self.counted:,} users in population {self.population}, and the copy holds {self.held:,}: "
            f"environment {self.place}"
        )


class ShortGroups(Gap):
    """Groups whose members could not be read whole; of the first ones the id, what PingOne counts, and members held."""

    count: int
    groups: tuple[tuple[str, int | None, int], ...]

    def words(self) -> str:
        named = [
            group if counted is None or counted <= held else f"{group} ({held:,} of {counted:,})"
            for group, counted, held in self.groups
        ]
        shown = _first(named, self.count)
        return f"members of {self.count:,} groups could not be read whole, {shown}: environment {self.place}"


class MembershipsUnread(Gap):
    def words(self) -> str:
        return "groups and memberships are not, or not all, in the copy"


class RolesUnread(Gap):
    why: WhyNoRoles = "not asked for"

    def words(self) -> str:
        reason, help_ = _ROLES_UNREAD[self.why]
        return f"administrator roles {reason}, so who has access by nothing but a role may be missing; {help_}"


class RolesRefused(Gap):
    """The role assignments of an environment may not be read."""

    def words(self) -> str:
        return f"administrator roles may not be read ({ROLES.taken_by}): environment {self.place}"


class UnknownPrivilege(Gap):
    """Of so many of the people who were found the roles are not known; `advised` where it is said what to do."""

    unknown: int
    people: int
    advised: bool
    why: WhyNoRoles = "not asked for"

    def words(self) -> str:
        reason, help_ = _ROLES_UNREAD[self.why]
        because = "their roles were not read" if self.why == "not asked for" else f"roles {reason}"
        advice = f"; {help_}" if self.advised else ""
        return f"whether {self.unknown:,} of {self.people:,} people are privileged is unknown: {because}{advice}"


class OnlyServedPopulations(Gap):
    """Who is not found may be in a population that is not served."""

    def words(self) -> str:
        return "only the populations that are served were looked at"


class PeopleOfServedPopulations(Gap):
    """Who has access may be in a population that is not served."""

    def words(self) -> str:
        return "only people of the populations that are served were looked at"


class GroupsOfUserUnread(Gap):
    def words(self) -> str:
        return "the groups of this user were not read, so roles that follow from groups are unknown"


class Unread(Gap):
    """Something of a user that may not be read, or not whole: its groups, its roles."""

    what: str

    def words(self) -> str:
        return f"the {self.what} could not be read, or not all of them"


class NothingCompared(Gap):
    """A roster without accounts, or without anything to match them on."""

    accounts: bool

    def words(self) -> str:
        why = "no account of the roster has what people are matched on" if self.accounts else _NO_ACCOUNT
        return f"nothing was compared: {why}"


class NoRolesInRoster(Gap):
    def words(self) -> str:
        return "no account of the roster has a role: is a column missing?"


_NO_ACCOUNT = "the roster holds no account"


def gone_at_once(missing: int, known: int, what: str, environment: str, population: str | None) -> str:
    """Say how many of how many would be gone, and where: places are given as people call them."""
    where = (
        f"environment {environment}" if population is None else f"population {population} of environment {environment}"
    )
    return f"{missing:,} of {known:,} {what} in {where}"


def listed(ids: Sequence[str]) -> str:
    """Return the first ids, and how many more there are."""
    return _first(ids[:_NAMED], len(ids))


def _first(named: Sequence[str], count: int) -> str:
    more = f" and {count - len(named):,} more" if count > len(named) else ""
    return ", ".join(named) + more


KINDS: Mapping[str, type[Gap]] = {kind.__name__: kind for kind in Gap.__subclasses__()}
