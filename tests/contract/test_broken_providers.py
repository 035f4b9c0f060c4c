"""The contract is worth something: a provider that breaks one rule does not pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from pingone_mcp.directory.matching.references import Home
from pingone_mcp.directory.models import MembershipType, User
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.replica.source import Holding, Pair, Wanted
from pingone_mcp.wiring import Provider
from tests.contract import rules, source_rules
from tests.contract.dictionary.company import Company
from tests.contract.dictionary.directory import DictionaryDirectory
from tests.contract.dictionary.source import DictionaryEnvironment, DictionarySource
from tests.contract.rules import Rule
from tests.contract.source_rules import SourceRule, SourceTrial
from tests.contract.subjects import copied, dictionary, live


def _name(value: object) -> str:
    return str(getattr(value, "__name__", value))


class Forgetful(DictionaryDirectory):
    """Drops a user."""

    def _people(self, home: Home) -> Iterable[User]:
        people = list(super()._people(home))
        return people[:3] + people[4:]


class Linkless(DictionaryDirectory):
    """Loses the link behind a first page, which looks like a last one."""

    async def users(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        return replace(await super().users(question, at, page_size=page_size), next=None)


class Boastful(DictionaryDirectory):
    """Counts one more than there are."""

    async def users(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        page = await super().users(question, at, page_size=page_size)
        return replace(page, total=(page.total or len(self.company.users)) + 1)


class Repeating(DictionaryDirectory):
    """Begins each page with the last row of the one before."""

    async def users(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        page = await super().users(question, at, page_size=page_size)
        return page if at is None else replace(page, items=(*page.items, *page.items[-1:]))


class Alarmist(DictionaryDirectory):
    """Calls everybody active, the disabled too."""

    def _people(self, home: Home) -> Iterable[User]:
        return [replace(user, status="active") for user in super()._people(home)]


class Trusting(DictionaryDirectory):
    """Takes any position for one of its own."""

    async def users(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        own = (await super().users(question, page_size=1)).at
        moved = replace(at, part=own.part) if at is not None else None
        return await super().users(question, moved, page_size=page_size)


class LosingEnvironment(DictionaryEnvironment):
    """Never shows the first user."""

    def _people(self) -> list[User]:
        return super()._people()[1:]


class SilentEnvironment(DictionaryEnvironment):
    """Says that nothing has changed or happened."""

    async def users_since(self, at: datetime) -> AsyncIterator[Sequence[UserRow]]:
        yield []

    async def happened(self, since: datetime, seen: Collection[str]) -> Wanted:
        return Wanted()


class StrayEnvironment(DictionaryEnvironment):
    """Holds direct members for indirect ones."""

    async def holding(self, pairs: Iterable[Pair], kind: MembershipType) -> Holding:
        return await super().holding(pairs, "direct")


class Leaky(DictionaryDirectory):
    """Shows everybody of an environment, whatever populations are served."""

    def _people(self, home: Home) -> Iterable[User]:
        wide = DictionaryDirectory(self.company, replace(self.scope, populations=()))
        return wide._people(home)  # noqa: SLF001 - what it leaks


def provided(
    directory: type[DictionaryDirectory] = DictionaryDirectory,
    environment: type[DictionaryEnvironment] = DictionaryEnvironment,
) -> Callable[[Company], Provider]:
    class Broken(DictionarySource):
        def environment(self, identity: str, *, remote_data: bool, urgent: bool = False) -> DictionaryEnvironment:
            return environment(self.company, self.scope, identity)

    def changed(company: Company) -> Provider:
        scope = Scope(environments=tuple(sorted(company.environments)))
        return Provider(
            directory=directory(company, scope), source=Broken(company, scope), key="broken", seal=b"b" * 32
        )

    return changed


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (Forgetful, rules.everybody_comes_once),
        (Forgetful, rules.what_is_served_is_described),
        (Linkless, rules.everybody_comes_once),
        (Linkless, rules.a_listing_goes_on_in_another_process),
        (Boastful, rules.everybody_comes_once),
        (Boastful, rules.a_status_has_its_users),
        (Repeating, rules.everybody_comes_once),
        (Alarmist, rules.a_user_is_shown_whole),
        (Alarmist, rules.questions_narrow_each_other),
        (Trusting, rules.a_position_of_another_question_is_refused),
    ],
    ids=_name,
)
async def test_a_broken_directory_breaks_the_rule(broken: type[DictionaryDirectory], rule: Rule) -> None:
    async with live(dictionary(changed=provided(broken))) as trial:
        with pytest.raises(AssertionError):
            await rule(trial)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (LosingEnvironment, source_rules.a_walk_hands_everybody_over_once),
        (LosingEnvironment, source_rules.groups_have_their_parents_children_and_members),
        (SilentEnvironment, source_rules.who_has_changed_is_found_since),
        (SilentEnvironment, source_rules.events_name_what_is_to_be_read_again),
        (StrayEnvironment, source_rules.memberships_agree_from_both_ends),
    ],
    ids=_name,
)
async def test_a_broken_source_breaks_the_rule(
    broken: type[DictionaryEnvironment], rule: SourceRule, tmp_path: Path
) -> None:
    subject = dictionary(changed=provided(environment=broken))
    async with subject.open() as provider:
        with pytest.raises((AssertionError, KeyError)):
            await rule(SourceTrial(source=provider.source, subject=subject, folder=tmp_path))


async def test_a_copy_of_a_source_that_loses_somebody_breaks_the_rule(tmp_path: Path) -> None:
    async with copied(dictionary(changed=provided(environment=LosingEnvironment)), tmp_path) as trial:
        with pytest.raises(AssertionError):
            await rules.everybody_comes_once(trial)


async def test_a_directory_that_shows_more_than_is_served_breaks_the_rule() -> None:
    def leaking(company: Company) -> Provider:
        populations = tuple(one for one, place in company.populations.items() if place.name != "Guests")
        scope = Scope(environments=tuple(sorted(company.environments)), populations=populations)
        source = DictionarySource(company, scope)
        return Provider(directory=Leaky(company, scope), source=source, key="leaky", seal=b"l" * 32)

    async with live(dictionary(narrow=True, changed=leaking)) as trial:
        for rule in (rules.who_is_outside_the_populations_served_is_nobody, rules.everybody_comes_once):
            with pytest.raises(AssertionError):
                await rule(trial)
