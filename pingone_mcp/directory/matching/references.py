"""References to environments, populations, groups and users: ids or names, and the sentence for each that fails.

A resolver is a generator that asks for what it must know (`Lookup`) and is sent it (`Known`), so that the same steps
and sentences hold whether a provider is asked over the network or the local copy in a transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.text.harmless import candidate, harmless
from pingone_mcp.errors import NotFound, Refused, UnexpectedAnswer, UpstreamProblem
from pingone_mcp.nearest import nearest

T = TypeVar("T")

_CANDIDATES = 5
_LISTED = 10


class Referable(NamedTuple):
    """A thing that can be referred to.

    `population` is the one that a group belongs to (None: its whole environment), and a population's own id.
    """

    id: str
    name: str | None = None
    population: str | None = None


class Known(NamedTuple):
    """The things of one kind that are there, and what the list of them lacks."""

    things: tuple[Referable, ...] = ()
    gap: Gap | None = None

    def may_have(self, identity: str) -> bool:
        """Say whether there is a thing of this id, or there may be for all that is known."""
        return self.gap is not None or any(thing.id == identity for thing in self.things)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a resolver must know.

    `environments`: those that are served. `environment`: the one of the id `reference`; none where it cannot be seen.
    `populations`: those of `environment`, as they are now where `fresh`. `group`: the one of the id `reference` in
    `environment`. `groups`: those called `reference` there, and where none is, some that there are.
    """

    kind: Literal["environments", "environment", "populations", "group", "groups"]
    environment: str = ""
    reference: str = ""
    fresh: bool = False


Resolving = Generator[Lookup, Known, T]
"""A resolver at work, which returns what was meant in the end."""


class Home(NamedTuple):
    """Where to look: an environment, and a population in it (None: all that are served)."""

    environment: str
    population: str | None


class GroupAt(NamedTuple):
    """A group by id, and the environment that it is in."""

    environment: str
    id: str


class References:
    """Resolve references within a scope.

    All resolvers raise Refused, with candidates, for what means nothing or too much, and UnexpectedAnswer where the
    things that a name may mean could not be read whole.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def environments(self, reference: str | None) -> Resolving[Sequence[str]]:
        """Return the ids of the environments to read, in one order for all processes, so that positions stay valid."""
        if reference is not None:
            return ((yield from self._environment(reference)),)
        if self._scope.environments is not None:
            return sorted(self._scope.environments)
        known = yield Lookup("environments")
        return [thing.id for thing in known.things]

    def homes(self, environments: Sequence[str], population: str | None) -> Resolving[list[Home]]:
        """Return where the users of a population are: in every environment that has one of this name or id."""

        def home(environment: str) -> Resolving[Home]:
            found = (yield from self._population(environment, population)) if population is not None else None
            return Home(environment, found)

        return (yield from _in_each(environments, home))

    def group(self, environments: Sequence[str], reference: str) -> Resolving[GroupAt]:
        """Return the one group that an id or a name means. Raises Refused, as all resolvers do."""

        def group(environment: str) -> Resolving[GroupAt]:
            return GroupAt(environment, (yield from self._group(environment, reference)))

        found = yield from _in_each(environments, group)
        if len(found) == 1:
            return found[0]
        names = {thing.id: thing.name for thing in (yield Lookup("environments")).things}
        listed = ", ".join(
            f"{candidate(identity, reference)} in environment {candidate(place, names.get(place))}"
            for place, identity in found[:_LISTED]
        )
        raise Refused(
            f"{len(found)} environments have a group of this name (names are data): {listed}.",
            "Give the id as `group`, or an `environment`.",
            code="AMBIGUOUS_NAME",
        )

    def _environment(self, reference: str) -> Resolving[str]:
        identity = as_id(reference)
        if identity is None:
            return _the_one("environment", reference, (yield Lookup("environments")))
        self._scope.check_environment(identity)
        if self._scope.environments is not None:
            return identity
        known = yield Lookup("environments")
        if known.may_have(identity) or (yield Lookup("environment", reference=identity)).things:
            return identity
        raise _unknown_id("environment", known)

    def _population(self, environment: str, reference: str) -> Resolving[str]:
        identity = as_id(reference)
        if identity is None:
            return _the_one("population", reference, self._served((yield Lookup("populations", environment))))
        self._scope.check_population(identity)
        try:
            known = yield Lookup("populations", environment)
            if not known.may_have(identity):  # it may have been made in the last minutes
                known = yield Lookup("populations", environment, fresh=True)
        except UpstreamProblem:  # whether it exists cannot be known
            return identity
        if known.may_have(identity):
            return identity
        raise _unknown_id("population", self._served(known))

    def _group(self, environment: str, reference: str) -> Resolving[str]:
        identity = as_id(reference)
        if identity is None:
            return _the_one("group", reference, self._served((yield Lookup("groups", environment, reference))))
        known = yield Lookup("group", environment, identity)
        if not known.things:
            raise no_such_group()
        (group,) = known.things
        if group.population is not None:
            self._scope.check_population(group.population)
        return group.id

    def _served(self, known: Known) -> Known:
        """Return what may be shown of groups or populations."""
        served = (one for one in known.things if self._scope.has_group_of(one.population))
        return Known(tuple(served), known.gap)


def _in_each(environments: Sequence[str], find: Callable[[str], Resolving[T]]) -> Resolving[list[T]]:
    """Return what is found in all environments; one that does not know a name that is looked up has nothing.

    Raises Refused when no environment knows the name, with candidates of all, and what else one of them refused.
    """
    found: list[T] = []
    unknown: list[Refused] = []
    for environment in environments:
        try:
            found.append((yield from find(environment)))
        except Refused as refused:
            if refused.code != "UNKNOWN_NAME":
                raise
            unknown.append(refused)
    if found:
        return found
    named = [one for one in unknown if isinstance(one, _UnknownName)]
    if named:
        known = {identity: name for one in named for identity, name in one.known.items()}
        raise _UnknownName(named[0].what_kind, named[0].reference, known)
    if unknown:
        raise unknown[0]
    raise Refused(
        "The credentials see no environment.",
        "Give the worker application a role over one.",
        code="NOTHING_SERVED",
    )


def resolved(resolving: Resolving[T], look: Callable[[Lookup], Known]) -> T:
    """Return what a resolver finds, where `look` knows at once."""
    try:
        lookup = next(resolving)
        while True:
            lookup = resolving.send(look(lookup))
    except StopIteration as done:
        found: T = done.value
        return found


async def resolved_live(resolving: Resolving[T], look: Callable[[Lookup], Awaitable[Known]]) -> T:
    """Return what a resolver finds, where `look` asks somebody. An UpstreamProblem is for the resolver to judge."""
    try:
        lookup = next(resolving)
        while True:
            try:
                known = await look(lookup)
            except UpstreamProblem as problem:
                lookup = resolving.throw(problem)
            else:
                lookup = resolving.send(known)
    except StopIteration as done:
        found: T = done.value
        return found


class CalledUser(NamedTuple, Generic[T]):
    """A user whom a reference may mean, with what is known of that one."""

    environment: str
    id: str
    username: str | None
    name: str | None
    value: T


def the_one_user(found: Sequence[CalledUser[T]], reference: str, *, limited: bool) -> CalledUser[T]:
    """Return the one user whom a reference means: id and username outweigh an email or external id.

    Raises NotFound for none, where `limited` says that only some populations are served, and Refused for several.
    """
    wanted = reference.casefold()
    exact = [one for one in found if wanted in (one.id.casefold(), (one.username or "").casefold())]
    found = exact if len(exact) == 1 else found
    if len(found) == 1:
        return found[0]
    if not found:
        raise no_such_user(limited=limited)
    listed = ", ".join(
        f"{candidate(one.id, one.name, one.username)} in environment {one.environment}" for one in found[:_LISTED]
    )
    raise Refused(
        f"{len(found)} users match (names are data): {listed}.",
        "Give one of these ids as `user`.",
        code="AMBIGUOUS_USER",
    )


def no_such_user(*, limited: bool) -> NotFound:
    """Return the failure for a user who is not there, or not in one of the populations served (`limited`).

    Both have one sentence: another one would show that there is somebody whom this connection does not serve.
    """
    where = "the populations served; who is in another one is not shown" if limited else "the configured environments"
    return NotFound(
        f"There is no such user in {where}.",
        "Give an id, username, email or external id; `list_users` with `query` finds people by parts of a name.",
        code="NOT_FOUND",
    )


def as_id(reference: str) -> str | None:
    """Return the id (a UUID in small letters, RFC 9562) that a reference is, or None for anything else."""
    try:
        return str(uuid.UUID(reference.strip()))
    except ValueError:
        return None


class _UnknownName(Refused):
    """No thing that is `known`, names by ids, has the name of a reference."""

    def __init__(self, what: str, reference: str, known: Mapping[str, str | None]) -> None:
        self.what_kind, self.reference, self.known = what, reference, known
        wanted = _as_shown(reference)
        shown = {identity: _as_shown(name or "") for identity, name in known.items()}
        near = nearest(wanted, shown.values(), most=_CANDIDATES, alike=0.5)
        meant = [identity for name in near for identity, its in shown.items() if its == name]
        some = meant or sorted(known, key=lambda identity: (shown[identity], identity))
        listed = ", ".join(candidate(identity, known[identity]) for identity in some[:_CANDIDATES])
        nearby = f" {'The nearest' if meant else 'Some that there are'} (names are data): {listed}." if listed else ""
        super().__init__(
            f"There is no {what} of this name.{nearby}",
            f"Give another name, or an id, as `{what}`.",
            code="UNKNOWN_NAME",
        )


def _the_one(what: str, reference: str, among: Known) -> str:
    """Return the only id under a name. Raises Refused, with candidates, for none and for several.

    What a list lacks may have the name all the same: UnexpectedAnswer says so where none on it has.
    """
    wanted = _as_shown(reference)
    known = {thing.id: thing.name for thing in among.things}
    found = [identity for identity, name in known.items() if name is not None and _as_shown(name) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(candidate(identity, known[identity]) for identity in found[:_LISTED])
        raise Refused(
            f"{len(found)} things of this name exist (names are data): {listed}.",
            f"Give the id as `{what}`.",
            code="AMBIGUOUS_NAME",
        )
    if among.gap is not None:
        raise UnexpectedAnswer(
            f"It is not known whether there is a {what} of this name: {among.gap.sentence()}",
            f"Try again, or give an id as `{what}`.",
            code="SHORT_LIST",
        )
    raise _UnknownName(what, reference, known)


def _unknown_id(what: str, known: Known) -> Refused:
    """Return what is said of an id that nothing has, with some that there are."""
    some = sorted(known.things, key=lambda thing: (_as_shown(thing.name or ""), thing.id))
    listed = ", ".join(candidate(thing.id, thing.name) for thing in some[:_CANDIDATES])
    there = f" There are, among others (names are data): {listed}." if listed else ""
    return Refused(
        f"There is no {what} of this id.{there}", f"Give another id, or a name, as `{what}`.", code="UNKNOWN_NAME"
    )


def no_such_group() -> Refused:
    """Return what is said of the id of a group that nothing has."""
    return Refused("There is no group of this id.", "`list_groups` shows the groups.", code="UNKNOWN_NAME")


def _as_shown(name: str) -> str:
    """Return a name as answers show it, so that what was read there can be asked for."""
    return harmless(name).strip().casefold()
