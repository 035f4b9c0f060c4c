"""One environment as it is now: the sample, and on top of it what was changed since.

A user has a position: the place in the order of creation, which never changes. The sample is never touched; a changed
user is a whole record at the same position, a removed one a position in a set, a new one a position beyond the last.
Flags over all positions (one byte each) answer filters: counting is counting bytes, the next page is the next flag.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from itertools import compress

from pingone_mcp.sandbox import scim
from pingone_mcp.sandbox.activities import WINDOW, Activity, Actor, Outcome
from pingone_mcp.sandbox.company.ids import IndexIds, stable_id
from pingone_mcp.sandbox.company.people import CONTRACTORS, EMPLOYEES, IS_ENABLED, equals, in_order, value_at
from pingone_mcp.sandbox.company.roles import BY_NAME
from pingone_mcp.sandbox.company.sample import SampleEnvironment, SampleGroup
from pingone_mcp.sandbox.errors import Json
from pingone_mcp.sandbox.options import Options
from pingone_mcp.sandbox.times import MovableClock, parse_timestamp, timestamp

CUSTOM_ATTRIBUTES = ("department", "manager", "costCenter")
# Flags are kept for so many questions at least and at most; for how many between, so many bytes decide.
_LEAST_FLAGS, _MOST_FLAGS, _FLAG_BYTES = 12, 96, 8 * 2**20

_TEXT = (
    "accountId address.streetAddress address.locality address.region address.postalCode address.countryCode externalId locale "
    "mobilePhone name.formatted name.middle name.honorificPrefix name.honorificSuffix nickname photo.href preferredLanguage "
    "primaryPhone timezone title type username"
).split()
USER_FILTERS: dict[str, str] = {
    **dict.fromkeys(_TEXT, "eq sw"),
    **dict.fromkeys(CUSTOM_ATTRIBUTES, "eq sw"),
    "email": "eq sw ew",
    "name.family": "eq sw ew",
    "name.given": "eq sw ew",
    "id": "eq",
    "population.id": "eq",
    "startDate": "eq",
    "endDate": "eq",
    "enabled?": "eq",
    "updatedAt@": "ge le",
}
_INSTANTS = {"createdAt", "updatedAt", "lastSignOn.at", "account.lockedAt"}
_FLAGS = {"mfaEnabled", "emailVerified", "account.canAuthenticate"}


def user_language(options: Options, *, members: bool = True) -> scim.Language:
    """Build the filter language of `/users`, with what the options add and take away."""
    table = dict(USER_FILTERS)
    for name, operator in options.extra_filters:
        key = name + ("@" if name in _INSTANTS else "?" if name in _FLAGS | {"enabled"} else "")
        table[key] = f"{table.get(key, '')} {operator}"
    table = {key: operators for key, operators in table.items() if key.rstrip("?@") not in options.refused_filters}
    return scim.language(
        table,
        members=members,
        quoted_boolean=options.quoted_boolean,
        negation=options.filter_not,
        accents=not options.accents_folded,
    )


@dataclass
class GroupState:
    """A group and where it hangs; `sample` tells who its members are before any change."""

    serial: int
    record: Json
    parents: set[str]
    sample: SampleGroup | None = None
    joined: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)
    filter: scim.Node | None = None

    @property
    def id(self) -> str:
        """The id of the group."""
        return str(self.record["id"])


@dataclass(frozen=True)
class AssignedRole:
    """An administrator role a user holds."""

    id: str
    role_id: str
    scope: str
    scope_id: str


def both(one: bytes, other: bytes) -> bytes:
    """Flag what is flagged in both."""
    return (int.from_bytes(one, "little") & int.from_bytes(other, "little")).to_bytes(len(one), "little")


def _or(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "little") | int.from_bytes(other, "little")).to_bytes(len(one), "little")


_FLIP = bytes([1, 0]) + bytes(254)


class EnvironmentState:
    """The users, groups, populations, role assignments and events of one environment."""

    def __init__(self, sample: SampleEnvironment, options: Options, clock: MovableClock) -> None:
        self.sample, self.options, self.clock = sample, options, clock
        self.people = sample.people
        self.language = user_language(options)
        self.version = 0
        self._graph = 0
        self._next = self.people.size + len(sample.ghosts)
        self._changed: dict[int, Json] = {}
        self._removed: set[int] = set(range(self.people.size, self._next))
        self._touched: set[int] = set()
        self._moved: dict[int, int] = {}
        self._usernames: dict[str, int] = {}
        self._base: OrderedDict[object, bytes] = OrderedDict()
        self._live: OrderedDict[object, bytes] = OrderedDict()
        self._most_flags = max(_LEAST_FLAGS, min(_MOST_FLAGS, _FLAG_BYTES // max(1, self._next)))
        self._event_ids = IndexIds(self.people.key, "event")
        self._made = 0
        self.recorded: Callable[[], None] = lambda: None
        """Is called after each event."""
        self.unrecorded: set[str] = set(options.unrecorded_actions)
        """Actions that leave no event."""
        self.spoiled: dict[str, dict[str, object]] = {}
        """By user: what PingOne writes instead of the value at a path, whatever it is. Filters go by the true value."""
        self.populations: dict[str, Json] = {
            population.id: {
                "id": population.id,
                "environment": {"id": sample.id},
                "name": population.name,
                "description": population.description,
                "createdAt": timestamp(sample.created),
                "updatedAt": timestamp(sample.created),
                "default": population.is_default,
            }
            for population in sample.populations
        }
        self.groups = {group.id: self._sample_group(at, group) for at, group in enumerate(sample.groups)}
        self._roles: dict[int, dict[str, AssignedRole]] = {}
        for held in sample.roles:
            self.hold_role(held.user, held.role, held.scope, held.scope_id)

    @property
    def id(self) -> str:
        """The id of the environment."""
        return self.sample.id

    def new_id(self, noun: str) -> str:
        """Make the next id of a group, a population or a role assignment."""
        self._made += 1
        return stable_id(self.people.key, noun, "made", self._made)

    def _write(self) -> int:
        self.version += 1
        self._live.clear()
        return self.clock.tick()

    # ----------------------------------------------------------------------------------------------------- users

    def exists(self, position: int) -> bool:
        """Say whether there is a user at this position."""
        return 0 <= position < self._next and position not in self._removed

    def position(self, user_id: str) -> int | None:
        """Find a user by id."""
        found = self.people.ids.index(user_id)
        return found if found is not None and self.exists(found) else None

    def position_of_username(self, username: str) -> int | None:
        """Find a user by user name, in any case."""
        name = username.lower()
        if name in self._usernames:
            return self._usernames[name]
        free = (at for at in self.people.find("username", name) if at not in self._changed and at not in self._removed)
        return next(free, None)

    def user(self, position: int) -> Json:
        """Give the user at a position as PingOne would, without links; a copy for reading."""
        record = self._changed.get(position)
        if record is None:
            return self.people.user(position)
        unlock_at = record["account"].get("unlockAt")
        if unlock_at is None:
            return record
        left = parse_timestamp(unlock_at) - self.clock.now()
        account = dict(record["account"])
        if left <= 0:
            account = {"canAuthenticate": record["enabled"], "status": "OK"}
        else:
            account["secondsUntilUnlock"] = left // 1_000
        return record | {"account": account}

    def users(self) -> Iterator[Json]:
        """Give every user, oldest first; who is computed, and is not one of the notable, is nobody else's already."""
        for position in range(self._next):
            if position not in self._removed:
                user = self.user(position)
                kept = position in self._changed or position in self.people.notables
                yield deepcopy(user) if kept else user

    def put_user(self, position: int, record: Json) -> None:
        """Put a changed record in place; `updatedAt` is the caller's to set."""
        self._write()
        old = self._changed.get(position)
        if old is not None:
            self._usernames.pop(str(old["username"]).lower(), None)
        if self._population_of(position) not in {None, value_at(record, "population.id")}:
            self._moved[position] = self.version
        self._changed[position] = in_order(record)
        self._usernames[str(record["username"]).lower()] = position
        self._touched.add(position)

    def _population_of(self, position: int) -> object:
        if position in self._changed:
            return value_at(self._changed[position], "population.id")
        return self.people.value(position, "population.id") if position < self.people.size else None

    def moved_since(self, version: int) -> set[int]:
        """Give the positions of those who changed their population after a version of this environment."""
        return {position for position, moved in self._moved.items() if moved > version}

    def add_user(self, record: Json) -> int:
        """Add a user at the end of the order of creation; gives it id and environment."""
        position, self._next = self._next, self._next + 1
        self.put_user(position, {"id": self.people.ids.of(position), "environment": {"id": self.id}} | record)
        return position

    def remove_user(self, position: int) -> None:
        """Remove a user; whatever is known of its position is never asked for again."""
        self._write()
        old = self._changed.pop(position, None)
        if old is not None:
            self._usernames.pop(str(old["username"]).lower(), None)
        self._removed.add(position)
        self._touched.add(position)

    # --------------------------------------------------------------------------------------------------- filters

    def matching(self, node: scim.Node | None) -> bytes:
        """Flag, for every position, whether there is a user for whom the filter holds."""
        found = self._live.get(node)
        if found is not None:
            self._live.move_to_end(node)
            return found
        flags = bytearray(self._flags(node) if node is not None else b"\1" * self.people.size)
        flags += bytes(self._next - len(flags))
        for position in self._touched:
            flags[position] = self.exists(position) and (node is None or self._holds(node, position))
        self._live[node] = bytes(flags)
        if len(self._live) > self._most_flags:
            self._live.popitem(last=False)
        return self._live[node]

    def all_but(self, user_ids: Iterable[str]) -> bytes:
        """Flag every position but those of some users."""
        flags = bytearray(b"\1" * self._next)
        for user_id in user_ids:
            position = self.people.ids.index(user_id)
            if position is not None and position < self._next:
                flags[position] = 0
        return bytes(flags)

    def _holds(self, node: scim.Node, position: int) -> bool:
        user = self.user(position)
        return scim.holds(node, lambda path: value_at(user, path), lambda group_id: self.membership(position, group_id))

    def _flags(self, node: scim.Node) -> bytes:
        """Flag the users of the sample for whom a filter holds."""
        key = (node, self._graph if scim.speaks_of_groups(node) else 0)
        found = self._base.get(key)
        if found is None:
            found = self._base[key] = self._compute(node)
            if len(self._base) > self._most_flags:
                self._base.popitem(last=False)
        return found

    def _compute(self, node: scim.Node) -> bytes:
        if isinstance(node, scim.Conjunction):
            return self._compute_all(node)
        if isinstance(node, scim.Disjunction):
            flags = bytes(self.people.size)
            for part in node.parts:
                flags = _or(flags, self._flags(part))
            return flags
        if isinstance(node, scim.Negation):
            return self._flags(node.part).translate(_FLIP)
        if isinstance(node, scim.MemberCondition):
            return self._member_flags(node)
        return self._column(node) or self._scan(node, range(self.people.size))

    def _compute_all(self, node: scim.Conjunction) -> bytes:
        """Ask the columns first; what must be compared one by one is compared only for those who are left."""
        flags, slow = b"\1" * self.people.size, []
        for part in node.parts:
            known = self._column(part) if isinstance(part, scim.AttributeCondition) else self._flags(part)
            if known is None:
                slow.append(part)
            else:
                flags = both(flags, known)
        for part in slow:
            assert isinstance(part, scim.AttributeCondition)
            flags = self._scan(part, compress(range(self.people.size), flags))
        return flags

    def _column(self, asked: scim.AttributeCondition) -> bytes | None:
        """Answer from a column or an index; None when there is none for this question."""
        people = self.people
        if asked.operator == "eq" and asked.attribute == "enabled":
            wanted = IS_ENABLED if asked.value else IS_ENABLED.translate(_FLIP)
            return people.status.translate(wanted)
        if asked.operator == "eq" and asked.attribute == "population.id":
            codes = [at for at, id_ in enumerate(people.population_ids) if id_ == asked.value]
            return people.population.translate(equals(*codes))
        if asked.operator == "eq" and asked.attribute in {"id", "username", "email"}:
            flags = bytearray(people.size)
            for position in people.find(asked.attribute, str(asked.value)):
                flags[position] = 1
            return bytes(flags)
        if asked.attribute == "updatedAt" and isinstance(asked.value, int):
            match asked.operator:
                case "ge":
                    return people.updated_between(asked.value, None)
                case "le":
                    return people.updated_between(None, asked.value)
        return None

    def _scan(self, asked: scim.AttributeCondition, positions: range | compress[int]) -> bytes:
        flags, value = bytearray(self.people.size), self.people.value
        for position in positions:
            if scim.compares(asked, value(position, asked.attribute)):
                flags[position] = 1
        return bytes(flags)

    # ---------------------------------------------------------------------------------------------------- groups

    def _sample_group(self, serial: int, group: SampleGroup) -> GroupState:
        people = self.people
        created = self.sample.created + serial * 3_600_000
        changed = [
            story.at for story in people.stories.values() if story.group == serial and story.kind in {"joined", "left"}
        ]
        record: Json = {
            "id": group.id,
            "environment": {"id": self.id},
            "name": group.name,
            "description": group.description,
            "population": {"id": people.population_ids[group.population]} if group.population is not None else None,
            "userFilter": group.user_filter,
            "sourceType": group.source,
            "sourceId": stable_id(people.key, "source", group.id) if group.source else None,
            "createdAt": timestamp(created),
            "updatedAt": timestamp(max(changed, default=created)),
        }
        state = GroupState(
            serial, {name: value for name, value in record.items() if value is not None}, set(group.parents), group
        )
        state.filter = self.read_user_filter(group.user_filter)
        return state

    def read_user_filter(self, text: str | None) -> scim.Node | None:
        """Read the filter of a dynamic group; raises scim.InvalidFilter."""
        return scim.parse(text, user_language(self.options, members=False)) if text else None

    def put_group(self, group: GroupState) -> None:
        """Add a group, or say that its nesting or its filter changed."""
        self._write()
        self._graph += 1
        self.groups[group.id] = group

    def remove_group(self, group: GroupState) -> None:
        """Remove a group and its place in others."""
        self._write()
        self._graph += 1
        del self.groups[group.id]
        for other in self.groups.values():
            other.parents.discard(group.id)

    def next_serial(self) -> int:
        """Give the place of a new group in the order of creation."""
        return max((group.serial for group in self.groups.values()), default=-1) + 1

    def join(self, position: int, group: GroupState) -> None:
        """Make a user a direct member."""
        self._write()
        group.left.discard(position)
        group.joined.add(position)
        self._touched.add(position)
        self._mark_group(group)

    def leave(self, position: int, group: GroupState) -> None:
        """End a direct membership."""
        self._write()
        group.joined.discard(position)
        group.left.add(position)
        self._touched.add(position)
        self._mark_group(group)

    def _mark_group(self, group: GroupState) -> None:
        if self.options.membership_bumps_group:
            group.record["updatedAt"] = timestamp(self.clock.now())

    def is_direct(self, position: int, group: GroupState) -> bool:
        """Say whether a user was put into a group itself."""
        if position in group.joined or position in group.left:
            return position in group.joined
        sample, people = group.sample, self.people
        if sample is None or position >= people.size:
            return False
        story = people.stories.get(position)
        if story and story.kind in {"joined", "left"} and story.group == group.serial:
            return story.kind == "joined"
        if position in sample.members:
            return True
        return bool(sample.rules) and all(flags[getattr(people, column)[position]] for column, flags in sample.rules)

    def membership(self, position: int, group_id: str) -> scim.Membership | None:
        """Say how a user belongs to a group: put there, or through a filter or a nested group."""
        group = self.groups.get(group_id)
        if group is None:
            return None
        if self.is_direct(position, group):
            return "DIRECT"
        below = self.below(group_id)
        if any(self.is_direct(position, self.groups[one]) for one in below):
            return "INDIRECT"
        dynamic = [self.groups[one].filter for one in (group_id, *below)]
        return "INDIRECT" if any(node is not None and self._holds(node, position) for node in dynamic) else None

    def memberships(self, position: int) -> list[tuple[GroupState, scim.Membership]]:
        """List the groups of a user, in the order the groups were made."""
        found = []
        for group in sorted(self.groups.values(), key=lambda group: group.serial):
            type_ = self.membership(position, group.id)
            if type_ is not None:
                found.append((group, type_))
        return found

    def children(self, group_id: str) -> list[GroupState]:
        """List the groups nested directly in a group."""
        return [group for group in self.groups.values() if group_id in group.parents]

    def below(self, group_id: str) -> list[str]:
        """List the groups nested in a group at any depth; a circle is walked once."""
        seen: list[str] = []
        waiting = [group_id]
        while waiting:
            for child in self.children(waiting.pop()):
                if child.id not in seen and child.id != group_id:
                    seen.append(child.id)
                    waiting.append(child.id)
        return seen

    def group_membership(self, child_id: str, group_id: str) -> scim.Membership | None:
        """Say how a group is nested in another."""
        if child_id in self.groups and group_id in self.groups[child_id].parents:
            return "DIRECT"
        return "INDIRECT" if child_id in self.below(group_id) else None

    def _direct_flags(self, group: GroupState) -> bytes:
        sample, people = group.sample, self.people
        flags = bytes(people.size)
        if sample is None:
            return flags
        if sample.rules:
            flags = b"\1" * people.size
            for column, wanted in sample.rules:
                flags = both(flags, getattr(people, column).translate(wanted))
        edited = bytearray(flags)
        for position in sample.members:
            if position < people.size:
                edited[position] = 1
        for position, story in people.stories.items():
            if story.kind in {"joined", "left"} and story.group == group.serial:
                edited[position] = story.kind == "joined"
        return bytes(edited)

    def _member_flags(self, asked: scim.MemberCondition) -> bytes:
        group = self.groups.get(asked.group_id)
        if group is None:
            return bytes(self.people.size)
        direct = self._direct_flags(group)
        if asked.type == "DIRECT":
            return direct
        every = direct
        for one in (group.id, *self.below(group.id)):
            other = self.groups[one]
            every = _or(every, self._direct_flags(other))
            if other.filter is not None:
                every = _or(every, self._flags(other.filter))
        return every if asked.type is None else both(every, direct.translate(_FLIP))

    # ----------------------------------------------------------------------------------------------- populations

    @cached_property
    def _count_version(self) -> dict[str, tuple[int, int]]:
        return {}

    def user_count(self, population_id: str) -> int:
        """Count the users of a population."""
        known = self._count_version.get(population_id)
        if known is None or known[0] != self.version:
            count = self.matching(scim.AttributeCondition("population.id", "eq", population_id)).count(1)
            known = self._count_version[population_id] = (self.version, count)
        return known[1]

    @property
    def default_population(self) -> str | None:
        """The population that takes users created without one."""
        return next((id_ for id_, record in self.populations.items() if record["default"]), None)

    def contractors(self) -> str:
        """Give the id of the population of the contractors (where there are none: the second population)."""
        return self.sample.populations[CONTRACTORS].id

    def employees(self) -> str:
        """Give the id of the default population of the sample."""
        return self.sample.populations[EMPLOYEES].id

    # ----------------------------------------------------------------------------------------------------- roles

    def roles_of(self, position: int) -> dict[str, AssignedRole]:
        """Give the role assignments of a user."""
        return self._roles.get(position, {})

    def hold_role(self, position: int, role: str, scope: str, scope_id: str) -> AssignedRole:
        """Give a user a role (by id or by name)."""
        role_id = BY_NAME[role].id if role in BY_NAME else role
        digest = blake2b(f"{position}/{role_id}/{scope}/{scope_id}".encode(), digest_size=8).hexdigest()
        held = AssignedRole(stable_id(self.people.key, "roleAssignment", digest), role_id, scope, scope_id)
        self._roles.setdefault(position, {})[held.id] = held
        return held

    # ---------------------------------------------------------------------------------------------------- events

    @cached_property
    def events(self) -> list[Activity]:
        """Every event of this environment, oldest first."""
        history = self.sample.history()
        if self.options.membership_resource_id == "membership":
            return history
        return [
            replace(event, resource_id=self._named(event.action, event.resource_id, event.path)) for event in history
        ]

    def _named(self, action: str, resource_id: str, path: str) -> str:
        """Give the id by which an event names its resource: of a membership the group's, by option."""
        of_group = action.startswith("MEMBER_OF_GROUP") and self.options.membership_resource_id == "group"
        return path.rpartition("/")[2] if of_group else resource_id

    def record(
        self,
        *,
        actor: Actor,
        correlation_id: str,
        action: str,
        result: str,
        resource: tuple[str, str, str],
        population_id: str | None = None,
        telemetry: dict[str, dict[str, str]] | None = None,
        modified: tuple[str, ...] = (),
        outcome: Outcome = "SUCCESS",
        whole_result: bool = False,
    ) -> None:
        """Write a line of the audit log, unless this action leaves none; `resource` is (id, name, path).

        The result ends with the name, unless it is whole; `modified` are the attributes that an update changed.
        """
        if action in self.unrecorded:
            return
        resource_id, name, path = resource
        self.events.append(
            Activity(
                id=self._event_ids.of(len(self.events)),
                at=self.clock.now(),
                action=action,
                result=result if whole_result else f"{result} {name}",
                resource_id=self._named(action, resource_id, path),
                resource_name=name,
                path=path,
                actor=actor,
                correlation_id=correlation_id,
                population_id=population_id,
                telemetry=telemetry or {},
                modified=modified if self.options.modified_attributes else (),
                outcome=outcome,
            )
        )
        self.recorded()

    def events_between(self, first: int, last: int) -> list[Activity]:
        """Give the events one may read, oldest first: at most fourteen days old, and older than the lag of the log."""
        now = self.clock.now()
        first = max(first, now - WINDOW)
        last = min(last, now - round(self.options.event_lag * 1_000))
        low = bisect_left(self.events, first, key=lambda event: event.at)
        return self.events[low : bisect_right(self.events, last, key=lambda event: event.at)]

    def number(self, event: Activity) -> int:
        """Give the place of an event in the log."""
        number = self._event_ids.index(event.id)
        assert number is not None
        return number

    def event(self, event_id: str) -> Activity | None:
        """Find an event one may read."""
        index = self._event_ids.index(event_id)
        if index is None or index >= len(self.events):
            return None
        event = self.events[index]
        return event if event in self.events_between(event.at, event.at) else None
