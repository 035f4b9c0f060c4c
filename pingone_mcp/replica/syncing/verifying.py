"""Whether users who changed, or whom events of memberships name, are in the groups in question: asked one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.models import MembershipType
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.source import Holding, Pair
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.store.looks import StagedUser
from pingone_mcp.replica.store.schema import GroupRow
from pingone_mcp.replica.syncing.gone import find_hidden
from pingone_mcp.replica.syncing.task import ONE_FAILS, EnvironmentSync
from pingone_mcp.replica.watermark import UPDATES_OVERLAP
from pingone_mcp.tasks import each

_ENTERED_ONE_BY_ONE = 200
_USERS_PER_QUESTION = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Questions:
    """What is to be asked: who is in a group `direct`ly, and who not directly (`indirect`), beside what is `held`."""

    held: Mapping[Pair, str]
    direct: set[Pair]
    indirect: set[Pair]

    def holds(self, pairs: set[Pair], kind: MembershipType) -> set[Pair]:
        """Return which pairs the copy holds as memberships of a kind."""
        return {pair for pair in pairs if self.held.get(pair) == kind}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of it: who is in a group, and of whom nothing is known."""

    directly: set[Pair]
    indirectly: set[Pair]
    doubtful: set[Pair]
    unsure: set[Pair]

    def undecided(self, asked: set[Pair]) -> set[Pair]:
        """Return the pairs that do not hold directly, of which nobody knows whether they do otherwise."""
        return asked & self.unsure - self.directly


async def verify_memberships(here: EnvironmentSync, since: datetime) -> set[str]:
    """Stage the memberships in question as they are; of what cannot be known nothing is staged.

    Return the groups that are to be read whole because that is less than to ask for everybody in question.

    In question are those of users who were changed `since` then, the beginning of the last sync, also where that sync
    has read the change: it may have read the members of a group before.
    """
    found, wanted = here.found, here.found.wanted
    changed = await here.task.look(looks.changed, here.id, timestamp(since - UPDATES_OVERLAP))
    # Of a group that is not listed any more nothing can be asked: its members stay, but for whom events name.
    present = {group.id: group for group in found.groups if group.id in here.listed}
    named = {pair for pair in wanted.memberships if pair.group in present and pair.user not in found.gone}
    unseen = {pair for pair in wanted.memberships if pair.group not in present}
    ended = {pair for pair in unseen if wanted.left_group(*pair)}
    users = {one.id for one in changed}
    found.touched |= (users | {pair.user for pair in named | unseen}) - found.gone.keys()
    held = await here.task.look(looks.held_memberships, found.touched | {pair.user for pair in named})
    left = _left_behind(changed, held, present)
    joined = await _groups_of_entered(here, changed)
    indirect, alone = await _of_opaque(here)
    questions = _Questions(
        held=held,
        direct={pair for pair in named | left if pair.group not in _surely_read(here)},
        indirect=indirect,
    )
    outcome = await _asked(here, questions)
    for group in {pair.group for pair in outcome.undecided(questions.direct)}:
        here.fall_short(group, why="MEMBERS_UNSURE")
    rows = _verified(questions, outcome)
    rows |= dict.fromkeys(joined, "direct") | dict.fromkeys(ended, None)
    await here.task.staging.put_verified((pair.group, pair.user, kind) for pair, kind in rows.items())
    return alone


def _left_behind(
    changed: Collection[StagedUser], held: Mapping[Pair, str], present: Mapping[str, GroupRow]
) -> set[Pair]:
    """Return the memberships in groups of populations of users who were moved: they end, and no event says so.

    The last sync may have seen the move itself, and the members of the group before it.
    """
    moved = {one.id for one in changed if one.population_before not in (None, one.population)}
    now = {one.id: one.population for one in changed}
    places = {
        pair: present[pair.group].population_id
        for pair, kind in held.items()
        if kind == "direct" and pair.user in now and pair.group in present
    }
    return {
        pair for pair, place in places.items() if place is not None and (pair.user in moved or place != now[pair.user])
    }


async def _groups_of_entered(here: EnvironmentSync, changed: Collection[StagedUser]) -> set[Pair]:
    """Return the direct memberships of users who came into scope: no event names them."""
    entered = {one.id for one in changed if one.is_new and here.found.existed_before(one.created) is not False}
    if len(entered) > _ENTERED_ONE_BY_ONE:
        here.found.reread |= here.listed
        return set()
    found: set[Pair] = set()

    async def read(user: str) -> None:
        try:
            memberships = await here.source.memberships(user)
        except ONE_FAILS:
            here.found.reread |= here.listed
            return
        found.update(Pair(user, one.id) for one in memberships if one.type == "direct" and one.id in here.listed)

    await each(read, sorted(entered))
    return found


async def _of_opaque(here: EnvironmentSync) -> tuple[set[Pair], set[str]]:
    """Return the pairs to ask about of groups to whose members nothing here leads, and those better read whole."""
    found = here.found
    opaque = (found.opaque & here.listed) - _surely_read(here)
    alone = {group for group in opaque if await _better_whole(here, group, len(found.touched))}
    found.reread |= alone
    return {Pair(user, group) for group in opaque - alone for user in found.touched}, alone


def _surely_read(here: EnvironmentSync) -> set[str]:
    """Return the groups that are to be read whole, but for those whose lists were short and may be so again."""
    return here.found.reread - here.short_before.keys()


async def _better_whole(here: EnvironmentSync, group: str, users: int) -> bool:
    """Say whether all members of a group are fewer pages than so many users are questions."""
    members = await here.task.look(looks.count_members, group)
    return users / _USERS_PER_QUESTION > members / here.task.source.page_size + 2


async def _asked(here: EnvironmentSync, questions: _Questions) -> _Outcome:
    """Ask, and look whether those can be seen at all who are not found where the copy has them."""
    left = here.found.wanted.left_group
    here.report("memberships", 0, len(questions.direct) + len(questions.indirect))
    (directly, doubtful), (indirectly, unsure) = await _holding(here, questions)
    # Where filters do not say it, the lists of those do who are in a group directly no more.
    undecided = (questions.direct & unsure) - directly - doubtful
    lists = await _lists_of(here, {pair.user for pair in undecided})
    indirectly |= lists.holding(undecided, "indirect")
    unsure -= undecided - lists.doubtful(undecided)
    missing = {pair for pair in questions.holds(questions.direct - directly, "direct") if not left(*pair)}
    missing_indirectly = questions.holds(questions.indirect - indirectly - unsure, "indirect")
    hidden = await find_hidden(here, {pair.user for pair in missing | missing_indirectly})
    return _Outcome(
        directly=directly,
        indirectly=indirectly,
        doubtful=doubtful | {pair for pair in missing | missing_indirectly if pair.user in hidden},
        unsure=unsure | {pair for pair in questions.indirect - indirectly if pair.user in hidden},
    )


async def _holding(here: EnvironmentSync, questions: _Questions) -> tuple[Holding, Holding]:
    """Return which pairs hold directly, and which indirectly: by filters, or by the lists of few users in many pairs.

    In one filter each user stands once.
    """
    pairs = Counter(pair.user for pair in (*questions.direct, *questions.indirect))
    filters = max(max(pairs.values(), default=0), pairs.total() / _USERS_PER_QUESTION)
    if len(pairs) >= filters:
        directly = await here.source.holding(questions.direct, "direct")
        return directly, await here.source.holding(questions.indirect, "indirect")
    lists = await _lists_of(here, pairs)

    def of(asked: set[Pair], kind: MembershipType) -> Holding:
        return Holding(lists.holding(asked, kind), lists.doubtful(asked))

    return of(questions.direct, "direct"), of(questions.indirect, "indirect")


@dataclass(frozen=True, slots=True)
class _Lists:
    """What the lists of some users say of their memberships; those of `unread` ones could not be read."""

    types: Mapping[Pair, str | None]
    unread: Collection[str]

    def holding(self, asked: set[Pair], kind: MembershipType) -> set[Pair]:
        return {pair for pair in asked if self.types.get(pair) == kind}

    def doubtful(self, asked: set[Pair]) -> set[Pair]:
        """Return the pairs of which nothing is known, or not of which kind they are."""
        return {one for one in asked if one.user in self.unread or (one in self.types and self.types[one] is None)}


async def _lists_of(here: EnvironmentSync, users: Collection[str]) -> _Lists:
    types: dict[Pair, str | None] = {}
    unread: set[str] = set()

    async def read(user: str) -> None:
        try:
            memberships = await here.source.memberships(user)
        except ONE_FAILS:
            unread.add(user)
            return
        types.update((Pair(user, one.id), one.type) for one in memberships)

    await each(read, sorted(users))
    return _Lists(types, unread)


def _verified(questions: _Questions, outcome: _Outcome) -> dict[Pair, str | None]:
    """Return what is known: a kind of membership, or None for who is in the group no more."""
    rows: dict[Pair, str | None] = dict.fromkeys(questions.direct & outcome.directly, "direct")
    ended = questions.direct - outcome.directly - outcome.doubtful - outcome.undecided(questions.direct)
    rows |= dict.fromkeys(ended, None)
    for pair in questions.indirect - outcome.unsure:
        if rows.get(pair) is None and (pair in rows or questions.held.get(pair) != "direct"):
            rows[pair] = "indirect" if pair in outcome.indirectly else None
    return rows
