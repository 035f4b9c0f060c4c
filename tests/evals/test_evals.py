"""The evaluation set holds on the sample company, and every fact in it is the sandbox's own truth."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import ROLES
from tests.depth import sampled
from tests.evals.replay import NothingThere, Question, asked, at, filled, questions
from tests.evals.truth import (
    Truth,
    active,
    both,
    called,
    counted,
    department,
    disabled,
    in_population,
    invited,
    locked,
    named,
    reports_to,
    title,
    unable,
    usernames,
)
from tests.process.programs import ROOT, bare, run
from tests.world import NOW, World

ALL = questions()
SINCE = "2026-06-02T00:00:00"
DELETED = "USER.DELETED"


@pytest.mark.parametrize("question", ALL, ids=lambda question: question.id)
@sampled(3)
async def test_the_calls_find_the_answer(world: World, question: Question) -> None:
    changes: dict[str, Any] = {"environments": None} if question.everywhere else {}
    async with world.client(**changes) as client:
        answers = await asked(client, question)
    assert {path: at(path, answers) for path in question.facts} == question.facts
    if question.refused is None:
        assert not isinstance(answers[-1], str), answers[-1]
    else:
        assert question.refused in answers[-1]


def test_the_set_is_as_wide_as_what_people_ask() -> None:
    tools = {call[0] for question in ALL for call in question.calls}
    assert len({question.id for question in ALL}) == len(ALL) >= 40
    assert {question.asked_by for question in ALL} == {"help desk", "HR", "manager", "security", "IT audit"}
    assert {
        "list_users",
        "get_user",
        "find_deactivated",
        "list_groups",
        "list_members",
        "describe_directory",
        "proxy_request",
    } <= tools
    assert sum(question.refused is not None for question in ALL) >= 8, "questions that cannot be answered"
    assert all(question.facts or question.refused for question in ALL)


# Paths


def test_paths_lead_into_answers() -> None:
    answers = [{"result": [{"id": "a", "kinds": ["x"]}, {"id": "b", "name": "B"}]}, {"n": 1}]
    assert at("$1.result.id", answers) == ["a", "b"]
    assert at("$1.result[1].name", answers) == "B"
    assert at("$1.result[name].id", answers) == ["b"]
    assert at("$1.result[!name].id", answers) == ["a"]
    assert at("$1.result[kinds=x].id", answers) == ["a"]
    assert at("count $1.result[name=B]", answers) == 1
    assert filled({"a": ["$2.n", "/x/{$1.result[0].id}/y", "$ {n}"]}, answers) == {"a": [1, "/x/a/y", "$ {n}"]}
    for path in ("$1.other", "$1.result[2].id", "$3.n", "$2.n.m"):
        with pytest.raises(NothingThere):
            at(path, answers)


@pytest.mark.slow
def test_a_person_can_replay_the_set_against_a_directory_of_their_own(tmp_path: Path) -> None:
    settings = tmp_path / "my.env"
    settings.write_text(f"PINGONE_SANDBOX=1\nPINGONE_CACHE_DIR={tmp_path}\n", encoding="utf-8")
    program = (sys.executable, "-m", "tests.evals.replay")
    ended = run("--env-file", str(settings), program=program, env=bare(tmp_path), cwd=ROOT)
    assert ended.status == 0, ended.err
    assert all(question.ask in ended.out for question in ALL)
    assert ended.out.count("\n   = ") >= len(ALL)


# For each question the values of its facts, in their order.
TRUTH: dict[str, Callable[[Truth], list[Any]]] = {
    "family-name": lambda t: counted(t.usernames(named("müller"))),
    "umlaut-full-name": lambda t: [
        t.usernames(called("Zoë", "Kowalska")),
        ["active"] if active(t.one("zoe.kowalska")) else [],
    ],
    "umlaut-left-out": lambda t: [t.usernames(called("Petra", "Müller"))] * 2,
    "name-reversed": lambda t: [
        t.usernames(called("Uma", "Becker")),
        [["locked"]] if locked(t.one("uma.becker")) else [],
    ],
    "start-of-name": lambda t: [t.usernames(named("zel"))],
    "any-case": lambda t: [" ".join(t.one("amara.eriksen")["name"].values()), title(t.one("amara.eriksen"))],
    "employee-number": lambda t: [t.usernames(lambda user: user.get("externalId") == "E100042")[0], "E100042"],
    "other-address": lambda t: [
        t.usernames(lambda user: user["email"] == "fatima.bergstrom@example.org"),
        [t.population(user) for user in t.users if user["email"] == "fatima.bergstrom@example.org"],
    ],
    "name-in-chinese": lambda t: [
        t.usernames(named("王")),
        [u["name"]["formatted"] for u in t.users if named("王")(u)],
    ],
    "name-in-arabic": lambda t: [t.usernames(named("ليلى"))],
    "quotes-in-username": lambda t: [
        " ".join(t.one('o"brien\\x')["name"].values()),
        "active" if active(t.one('o"brien\\x')) else "",
    ],
    "apostrophe": lambda t: counted(t.usernames(named("o'brien"))),
    "locked-since": lambda t: [
        "inactive" if unable(t.one("uma.becker")) else "",
        ["locked"],
        t.one("uma.becker")["account"]["lockedAt"],
    ],
    "why-not": lambda t: ["inactive", ["disabled", "locked"] if both(disabled, locked)(t.one("milan.ghosh")) else []],
    "not-yet-verified": lambda t: [
        "invited" if invited(t.one("elif.olsen")) else "",
        ["verification_required"],
        t.one("elif.olsen")["emailVerified"],
    ],
    "two-of-a-name": lambda t: [
        *counted(t.usernames(called("Robin", "Hale"))),
        [department(user) for user in t.users if called("Robin", "Hale")(user)],
    ],
    "nobody-of-that-name": lambda t: [t.count(named("nobody@example.com"))],
    "phone": lambda t: [[{"number": t.one("marek.muller")["primaryPhone"], "type": "primary"}]],
    "department": lambda t: [
        t.count(lambda user: department(user) == "Finance"),
        t.usernames(lambda user: department(user) == "Finance" and title(user).startswith("Vice President")),
    ],
    "contractors": lambda t: [t.count(in_population(t, "Contractors"))],
    "contractors-in-a-department": lambda t: counted(
        t.usernames(both(in_population(t, "Contractors"), lambda user: department(user) == "Legal"))
    ),
    "invited": lambda t: [t.count(invited)],
    "invited-contractors": lambda t: [t.usernames(both(invited, in_population(t, "Contractors")))],
    "vice-presidents": lambda t: counted(t.usernames(lambda user: title(user).startswith("Vice President"))),
    "chief": lambda t: [t.usernames(lambda user: title(user) == "Chief Executive Officer")],
    "in-norway": lambda t: [t.count(lambda user: user.get("locale") == "nb-NO")],
    "newest": lambda t: usernames(sorted(t.users, key=lambda user: str(user["createdAt"]))[-2:]),
    "reports": lambda t: counted(t.usernames(reports_to("marek.muller"))),
    "boss-of-boss": lambda t: [t.one("uma.becker")["manager"], t.one("marek.muller")["manager"]],
    "no-manager": lambda t: [t.count(named("amara.eriksen")), [u["manager"] for u in t.users[:1] if "manager" in u]],
    "team-locked": lambda t: [t.usernames(both(unable, reports_to("marek.muller")))],
    "my-team-groups": lambda t: [t.groups_of("karin.kumar", "direct"), t.groups_of("karin.kumar", "indirect")],
    "all-locked": lambda t: counted(t.usernames(locked)),
    "disabled-count": lambda t: [t.count(disabled), True],
    "disabled-lately": lambda t: [
        t.usernames(both(disabled, lambda user: user["updatedAt"] >= SINCE)),
        ["sam.reyes@example.com"] * t.count(both(disabled, lambda user: user["updatedAt"] >= SINCE)),
        False,
    ],
    "locked-lately": lambda t: [
        [e.resource_name for e in t.events("USER.LOCKED") if e.resource_name in t.usernames(locked)],
        False,
    ],
    "removed-lately": lambda t: [[event.resource_name for event in t.events(DELETED)], True],
    "removed-ever": lambda t: [len(t.events(DELETED)), False],
    "removed-by": lambda t: [
        [e.actor.user_name for e in t.events(DELETED) if e.resource_name.startswith("hugo.farah")]
    ],
    "cannot-sign-in": lambda t: [t.count(unable)],
    "never-signed-in": lambda t: [t.count(active), t.count(lambda user: active(user) and "lastSignOn" not in user)],
    "without-mfa": lambda t: [usernames(user for user in t.members("Administrators") if not user["mfaEnabled"])],
    "inactive-administrators": lambda t: [
        len(t.members("Administrators")),
        usernames(user for user in t.members("Administrators") if unable(user)),
    ],
    "hidden-words": lambda t: [
        harmless(department(t.one("elena.meyer"))),
        " ".join(t.one("elena.meyer")["name"].values()),
    ],
    "role-holders": lambda t: [
        t.roles("marek.muller"),
        t.roles("dara.adeyemi"),
        t.roles("aiko.tanaka"),
        usernames(t.members("Administrators")),
        t.sandbox.company.main.name,
    ],
    "roles-of-one": lambda t: [t.roles("marek.muller")],
    "limited-role": lambda t: [
        *t.roles("petra.jansen"),
        "population",
        t.state.populations[t.state.contractors()]["name"],
    ],
    "direct-and-indirect": lambda t: [
        len(t.members("Engineering", "DIRECT")),
        usernames(t.members("Engineering", "INDIRECT")),
    ],
    "nested-only": lambda t: [len(t.members("All Staff")), len(t.members("All Staff", "DIRECT"))],
    "dynamic-group": lambda t: [["dynamic"], t.count(lambda user: user["email"].endswith("@example.org"))],
    "empty-group": lambda t: counted(usernames(t.members("Retired Projects"))),
    "both-groups-of-a-name": lambda t: [
        ["Employees", "Contractors"],
        [sum(t.kind(user, group) == "DIRECT" for user in t.users) for group in t.groups("Reviewers")],
    ],
    "groups-count": lambda t: [
        len(t.state.groups),
        [group.record["name"] for group in t.state.groups.values() if "sourceType" in group.record],
        [group.record["name"] for group in t.state.groups.values() if "userFilter" in group.record],
    ],
    "in-the-group": lambda t: [["direct"] if t.one("dara.adeyemi") in t.members("Administrators", "DIRECT") else []],
    "vpn-contractors": lambda t: [sum(map(in_population(t, "Contractors"), t.members("VPN Users")))],
    "finance-approvers": lambda t: [
        len(t.members("Finance Approvers")),
        sum(department(user) == "Finance" for user in t.members("Finance Approvers")),
    ],
    "everybody": lambda t: [len(t.users)],
    "at-a-glance": lambda t: [
        len(t.users),
        t.count(disabled),
        len(t.state.groups),
        [place["name"] for place in t.state.populations.values()],
        [t.count(in_population(t, place["name"])) for place in t.state.populations.values()],
    ],
    "may-we": lambda t: [
        any("read audit" in _permissions(grant.role) for grant in t.sandbox.application.grants),
        False,
    ],
    "default-population": lambda t: [[place["name"] for place in t.state.populations.values() if place["default"]]],
    "native-user": lambda t: [200, t.one("petra.jansen")["identityProvider"]["type"]],
    "native-events": lambda t: [len(t.events("MEMBER_OF_GROUP.CREATED"))],
    "native-role-list": lambda _: [[role.name for role in ROLES]],
    "two-environments": lambda t: [
        [place.name for place in t.sandbox.company.environments if _amaras(t, place.id)],
        [name for place in t.sandbox.company.environments for name in _amaras(t, place.id)],
    ],
    "customers": lambda t: [
        len(list(t.sandbox.users(t.sandbox.company.environments[1].id))),
        t.sandbox.company.environments[1].name,
        _testers(t),
    ],
    "number-in-one-place": lambda t: [
        [
            place.name
            for place in t.sandbox.company.environments
            if any(user.get("externalId") == "E100001" for user in t.sandbox.users(place.id))
        ]
    ],
    "delete": lambda t: [t.one("uma.becker")["username"]],
}


def _permissions(role: str) -> frozenset[str]:
    return next(frozenset(one.permissions) for one in ROLES if one.name == role)


def _amaras(truth: Truth, environment: str) -> list[str]:
    return [user["username"] for user in truth.sandbox.users(environment) if called("Amara", "Eriksen")(user)]


def _testers(truth: Truth) -> int:
    state = truth.sandbox.state(truth.sandbox.company.environments[1].id)
    (group,) = state.groups
    return sum(state.membership(position, group) is not None for position in range(state.people.size))


@pytest.fixture(scope="module")
def truth() -> Truth:
    sandbox = Sandbox(size=500, now=NOW)
    return Truth(users=list(sandbox.users()), state=sandbox.state(), sandbox=sandbox)


@pytest.mark.parametrize("question", [one for one in ALL if one.facts], ids=lambda question: question.id)
def test_the_facts_are_what_the_sandbox_holds(truth: Truth, question: Question) -> None:
    assert list(question.facts.values()) == TRUTH[question.id](truth)
