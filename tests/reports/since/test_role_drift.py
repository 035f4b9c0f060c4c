"""What is new of the roles in an application since they were compared last."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.gaps import OnlyServedPopulations
from pingone_mcp.directory.models import GroupMembership, StatusSource, User
from pingone_mcp.errors import Refused
from pingone_mcp.reports.role_drift import KEPT, RoleComparison, RoleDrift, compare
from pingone_mcp.reports.roles import HeldGroups
from pingone_mcp.reports.rosters.roster import Roster, RosterEntry
from pingone_mcp.reports.rules_file import parse_rules
from pingone_mcp.reports.since.role_drift import ROLE_KINDS, kept_roles, role_findings, roles_since

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
RULES = parse_rules("""
[[rule]]
role = "reader"
group = "finance"

[[rule]]
role = "approver"
group = "board"
""")
NAMES = ("ann", "bo", "cy", "di")
ROLES = ("reader", "approver", "owner")


def user(name: str, *groups: str) -> tuple[User, HeldGroups]:
    found = User(id=f"u-{name}", username=name, emails=(), status="active", status_source=StatusSource())
    held = tuple(GroupMembership(id=f"g-{group}", name=group, type="direct") for group in groups)
    return found, HeldGroups(held)


def drift(accounts: dict[str, tuple[str, ...]], people: dict[str, tuple[str, ...]], **more: Any) -> RoleDrift:
    entries = [RosterEntry(number, username=name, roles=roles) for number, (name, roles) in enumerate(accounts.items())]
    return compare(RULES, Roster(entries=tuple(entries)), [user(*one) for one in _flat(people)], NOW, **more)


def _flat(people: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [(name, *groups) for name, groups in people.items()]


ACCOUNTS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(ROLES), unique=True).map(tuple))
PEOPLE = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(("finance", "board")), unique=True).map(tuple)
)


@given(ACCOUNTS, PEOPLE)
def test_nothing_is_new_since_the_same_comparison(
    accounts: dict[str, tuple[str, ...]], people: dict[str, tuple[str, ...]]
) -> None:
    found = drift(accounts, people)
    changes = roles_since(kept_roles(found, NOW), found, NOW + timedelta(days=1))
    assert (changes.new, changes.resolved, changes.unsure, changes.since) == ((), (), 0, NOW)


@given(ACCOUNTS, ACCOUNTS, PEOPLE, PEOPLE)
def test_what_is_new_one_way_is_resolved_the_other_way(
    before: dict[str, tuple[str, ...]],
    after: dict[str, tuple[str, ...]],
    once: dict[str, tuple[str, ...]],
    then: dict[str, tuple[str, ...]],
) -> None:
    old, new = drift(before, once), drift(after, then)
    try:
        there, back = roles_since(kept_roles(old, NOW), new, NOW), roles_since(kept_roles(new, NOW), old, NOW)
    except Refused as refused:
        assert "another part" in refused.what  # noqa: PT017 - a roster without any role, or anybody, is a gap
        return
    assert (there.new, there.resolved) == (back.resolved, back.new)
    assert {_told(one) for one in there.new} == {_told(one) for one in role_findings(new)} - {
        _told(one) for one in role_findings(old)
    }


def _told(finding: Any) -> tuple[Any, ...]:
    account, person = finding.account, finding.person
    gone = person is None or finding.kind == "unmatched"
    return (finding.kind, account and account.username, None if gone else person.id, finding.role)


def test_each_role_is_news_of_its_own() -> None:
    old = drift({"ann": ("owner",), "gone": ("owner",)}, {"ann": ("board",), "bo": ()})
    new = drift({"gone": ("OWNER",), "ann": ("owner", "reader")}, {"ann": ("board",), "bo": ("finance",)})
    changes = roles_since(kept_roles(old, NOW), new, NOW)
    assert [_told(one) for one in changes.new] == [
        ("extra", "ann", "u-ann", "reader"),
        ("without_account", None, "u-bo", None),
    ]
    assert changes.resolved == ()
    assert {name: count for name, count in changes.counts.items() if count} == {
        "new": 2,
        "new_extra": 1,
        "new_without_account": 1,
    }
    assert list(changes.counts) == [
        *("new", "resolved"),
        *(f"new_{kind}" for kind in ROLE_KINDS),
        *(f"resolved_{kind}" for kind in ROLE_KINDS),
    ]


def test_users_beyond_the_ones_kept_are_neither_new_nor_resolved() -> None:
    def cut(*names: str) -> RoleDrift:
        comparison = RoleComparison(RULES, Roster(entries=(RosterEntry(1, username="x"),)), NOW, keep=2)
        for name in names:
            comparison.see(*user(name, "board"))
        return comparison.compared()

    changes = roles_since(kept_roles(cut("b", "c", "d"), NOW), cut("a", "b", "c", "d"), NOW)
    assert [one.person.id for one in changes.new if one.person] == ["u-a"]
    assert (changes.resolved, changes.unsure) == ((), 1)


def test_of_many_all_are_counted_and_the_first_are_kept() -> None:
    many = drift({f"n{n}": ("owner",) for n in range(KEPT + 5)}, {})
    none = drift({"x": ("owner",)}, {"x": ()})
    there = roles_since(kept_roles(none, NOW), many, NOW)
    assert (there.counts["new_unmatched"], len(there.new)) == (KEPT + 5, KEPT)


def test_another_part_of_the_directory_another_version_and_damage_are_refused() -> None:
    found = drift({"ann": ("owner",)}, {"ann": ()})
    first, *rest = kept_roles(found, NOW)
    lacking = drift({"ann": ("owner",)}, {"ann": ()}, gaps=(OnlyServedPopulations(),))
    with pytest.raises(Refused, match="another part"):
        roles_since([first, *rest], lacking, NOW)
    with pytest.raises(Refused, match="another version"):
        roles_since([json.dumps(json.loads(first) | {"version": 0}), *rest], found, NOW)
    for lines in ([], [first], [first, *rest[:-1]], [first, '["00", "missing"]\n', "\n"], ["null"]):
        with pytest.raises(Refused, match="cannot be compared"):
            roles_since(lines, found, NOW)
