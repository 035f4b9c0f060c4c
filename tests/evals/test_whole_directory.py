"""Questions about a whole directory of 20,000 people are answered exactly, in few calls and few tokens."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from filelock import FileLock

from tests.depth import sampled
from tests.evals.company import DAY, WEEK, Deed, a_week_passes, company, live_through, synced
from tests.evals.replay import WHOLE, Question, asked, at, questions, replay
from tests.evals.truth import (
    Whole,
    active,
    both,
    department,
    disabled,
    in_population,
    invited,
    last_sign_on,
    locked,
    name,
    title,
    unable,
    usernames,
    without_mfa,
)
from tests.world import NOW, World

ALL = questions(WHOLE)
MOST_CALLS, MOST_TOKENS = 3, 1_500


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Sync the company, let a week pass, sync what changed: once, by whichever worker of pytest-xdist comes first.

    The others wait for its copy. Their own sandboxes live through the same week, which takes no time.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    world, done = company(shared / "whole-directory"), shared / "whole-directory.done"

    async def prepared() -> None:
        ready = done.exists()
        if not ready:
            await synced(world, "full")
        await a_week_passes(world)
        if not ready:
            await synced(world, "incremental")
            done.touch()

    with FileLock(f"{done}.lock"):
        anyio.run(prepared)
    return world


@pytest.fixture(scope="module")
def tokens() -> Callable[[str], int]:
    encoding = pytest.importorskip("bpe_openai", reason="has no wheel on this platform").get_encoding("o200k_base")
    return lambda text: len(encoding.encode(text))


@pytest.mark.parametrize("question", ALL, ids=lambda question: question.id)
@sampled(5)
async def test_a_few_small_answers_hold_it_all(whole: World, question: Question, tokens: Callable[[str], int]) -> None:
    async with whole.client() as client:
        answers = await asked(client, question)
    assert not [answer for answer in answers if isinstance(answer, str)]
    assert {path: at(path, answers) for path in question.facts} == question.facts
    assert not [answer for answer in answers if answer.get("truncated") or answer.get("next_cursor")]
    assert len(question.calls) <= MOST_CALLS
    assert (
        sum(tokens(json.dumps(answer, ensure_ascii=False, separators=(",", ":"))) for answer in answers) <= MOST_TOKENS
    )


def test_the_set_is_as_wide_as_what_administrators_ask() -> None:
    tools = {call[0] for question in ALL for call in question.calls}
    sql = " ".join(call[1].get("sql", "") for question in ALL for call in question.calls)
    assert len({question.id for question in ALL}) == len(ALL) >= 36
    assert {question.asked_by for question in ALL} == {"help desk", "HR", "manager", "security", "IT audit"}
    assert tools == {
        "query_directory",
        "list_changes",
        "find_deactivated",
        "access_review",
        "check_drift",
        "map_roles",
        "get_user",
        "list_members",
    }
    assert all(word in sql for word in ("MATCH", "json_extract", "OVER (", "WITH RECURSIVE", "julianday", "strftime"))
    assert not re.search(r"'now'|current_", sql, re.IGNORECASE), "an answer must not depend on the day it is asked"
    assert all(question.facts for question in ALL)


async def test_a_person_can_replay_the_set(whole: World, capsys: pytest.CaptureFixture[str]) -> None:
    async with whole.client() as client:
        await replay(client, ALL)
    said = capsys.readouterr().out
    assert all(question.ask in said for question in ALL)
    assert said.count("\n   = ") == sum(len(question.calls) for question in ALL)
    assert "not asked" not in said


# The truth, computed from what the sandbox holds and from what was done in the week


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """The company before the week and after it."""

    before: Whole
    after: Whole

    def those(self, *deeds: Deed, what: str = "") -> list[str]:
        """Return the usernames of those to whom something was done, in the order in which it was."""
        return [f"{done.whom}@example.com" for done in WEEK if done.deed in deeds and what in ("", done.what)]

    def day(self, username: str, deed: Deed) -> str:
        (day,) = (done.day for done in WEEK if done.deed == deed and username.startswith(f"{done.whom}@"))
        return f"2026-06-{NOW.day + day}"

    def actor(self, username: str, deed: Deed) -> str:
        (actor,) = (done.actor for done in WEEK if done.deed == deed and username.startswith(f"{done.whom}@"))
        return actor

    def was(self, username: str) -> dict[str, Any]:
        return self.before.by_name[username.partition("@")[0]]

    def kinds(self) -> list[tuple[str, str, str | None]]:
        """Return kind, username and actor of what changed of people from before to after, whatever came between."""
        found: list[tuple[str, str, str | None]] = []
        for username in {user["username"] for user in (*self.before.users, *self.after.users)}:
            short = username.partition("@")[0]
            was, now = self.before.by_name.get(short), self.after.by_name.get(short)
            if was == now:
                continue
            actor = [done.actor for done in WEEK if done.whom == short and done.deed not in ("join", "leave", "grant")][
                -1
            ]
            kind = (
                "created" if was is None
                else "removed" if now is None
                else "deactivated" if disabled(now) > disabled(was)
                else "reactivated" if disabled(now) < disabled(was)
                else "locked" if locked(now) > locked(was)
                else "unlocked" if locked(now) < locked(was)
                else "updated"
            )  # fmt: skip
            found.append((f"user.{kind}", username, actor))
        return found


def ranked(counts: Counter[str]) -> list[list[Any]]:
    return [[key, count] for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def in_order(counts: Counter[str]) -> list[list[Any]]:
    return [[key, count] for key, count in sorted(counts.items())]


def total(holds: Callable[[dict[str, Any]], bool], users: Iterable[dict[str, Any]]) -> int:
    return sum(map(holds, users))


def share(holds: Callable[[dict[str, Any]], bool], users: list[dict[str, Any]]) -> float:
    return round(100.0 * total(holds, users) / len(users), 1)


def by(key: Callable[[dict[str, Any]], str], users: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for user in users:
        found[key(user)].append(user)
    return dict(sorted(found.items()))


def members(whole: Whole, group: str) -> list[dict[str, Any]]:
    inside = whole.kinds[group]
    return [user for user in whole.users if user["id"] in inside]


def employees(whole: Whole) -> list[dict[str, Any]]:
    return [user for user in whole.users if in_population(whole, "Employees")(user)]


def staff(whole: Whole) -> list[dict[str, Any]]:
    """Return the active employees."""
    return [user for user in employees(whole) if active(user)]


def created(user: dict[str, Any]) -> str:
    return str(user["createdAt"])


def _both_names(user: dict[str, Any]) -> bool:
    words = {word.casefold() for word in (name(user) or "").split()}
    return title(user) == "Compliance Analyst" and bool(words & {"garcía", "müller"})


def _below(whole: Whole, top: str) -> list[dict[str, Any]]:
    """Return all who work for somebody, at any depth."""
    teams: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for user, manager in whole.reports():
        teams[manager["username"]].append(user)
    found: list[dict[str, Any]] = []
    waiting = [top]
    while waiting:
        team = teams[waiting.pop()]
        found += team
        waiting += usernames(team)
    return found


def _gained(week: Week) -> list[list[Any]]:
    """Return group, kind, how many, and by whom, of memberships that people have now and had not."""
    counts: Counter[tuple[str, str]] = Counter()
    for group, inside in week.after.kinds.items():
        known = week.before.kinds.get(group, {})
        counts.update((group, kind) for user, kind in inside.items() if user not in known)
    actors = {"direct": "Security desk", "indirect": "nobody"}
    return [[group, kind, count, actors[kind]] for (group, kind), count in sorted(counts.items())]


def _days_locked(whole: Whole) -> list[float]:
    now = datetime.fromisoformat("2026-06-22T12:00:00Z")
    since = [user["account"].get("lockedAt") for user in whole.users if locked(user)]
    return [(now - datetime.fromisoformat(one)).total_seconds() / DAY for one in since if one]


def _growth(whole: Whole) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for year, count in sorted(Counter(created(user)[:4] for user in whole.users).items()):
        rows.append([year, count, count + (rows[-1][2] if rows else 0)])
    return rows


def _outside(whole: Whole) -> list[list[Any]]:
    outside = [
        user
        for user in staff(whole)
        if department(user) in whole.kinds and user["id"] not in whole.kinds[department(user)]
    ]
    return [[name_, len(users), min(usernames(users))] for name_, users in by(department, outside).items()]


def _centers(whole: Whole) -> list[list[Any]]:
    charged = (user for user in whole.users if "costCenter" in user)
    return [
        [center, len(users), len(set(map(department, users)))]
        for center, users in by(lambda user: str(user["costCenter"]), charged).items()
    ]


def _conflicting(whole: Whole) -> list[str]:
    approving = whole.kinds["Finance Approvers"]
    return sorted(user["username"] for user in members(whole, "Payment Requesters") if user["id"] in approving)


def _roles(whole: Whole, user: dict[str, Any]) -> list[str]:
    roles = {
        "ledger-reader": in_population(whole, "Employees")(user) and department(user) in ("Finance", "Legal"),
        "payment-approver": user["id"] in whole.kinds["Finance Approvers"],
        "payment-requester": user["id"] in whole.kinds["Payment Requesters"],
    }
    return [role for role, follows in roles.items() if follows]


def _newest(whole: Whole) -> list[list[str]]:
    named = (user for user in employees(whole) if department(user) in whole.kinds)
    newest = {place: max(users, key=created) for place, users in by(department, named).items()}
    return [[place, user["username"], created(user)[:10]] for place, user in newest.items()]


def _idle(whole: Whole) -> list[list[Any]]:
    limits = ("2026-03-24T12:00:00Z", "2025-12-24T12:00:00Z", "2025-06-22T12:00:00Z")
    places = by(whole.population, filter(active, whole.users))
    return [
        [
            place,
            *(sum("" < last_sign_on(user) < limit for user in users) for limit in limits),
            sum(not last_sign_on(user) for user in users),
        ]
        for place, users in places.items()
        if place != "Service Accounts"
    ]


def _inactive_shares(whole: Whole) -> list[list[Any]]:
    places = by(department, (user for user in whole.users if "department" in user))
    rows = [
        [place, len(users), total(unable, users), share(unable, users)]
        for place, users in places.items()
        if len(users) > 10
    ]
    return sorted(rows, key=lambda row: (-row[3], row[0]))


def _of_group(whole: Whole, group: str) -> list[Any]:
    kinds = Counter(whole.kinds[group].values())
    return [group, kinds["direct"], kinds["indirect"]]


def _shared_addresses(whole: Whole) -> list[list[Any]]:
    addresses = by(lambda user: str(user["email"]).lower(), whole.users)
    return [
        [one, len(users), min(usernames(users)), max(usernames(users))]
        for one, users in addresses.items()
        if len(users) > 1
    ]


def _namesakes(whole: Whole) -> list[int]:
    # SQLite's lower() knows the letters of ASCII; two spellings of one name do not differ in others here.
    common = [
        count
        for count in Counter((name(user) or "").lower() for user in whole.users if name(user)).values()
        if count >= 5
    ]
    return [len(common), max(common)]


def _gone_managers(whole: Whole) -> list[list[Any]]:
    there = {user["username"] for user in whole.users}
    orphans = (user for user in whole.users if user.get("manager") and user["manager"] not in there)
    return [
        [boss, len(users), min(usernames(users))]
        for boss, users in by(lambda user: str(user["manager"]), orphans).items()
    ]


def _never_lately(whole: Whole) -> list[list[str]]:
    found = ([user["username"], last_sign_on(user)[:10] or "never"] for user in members(whole, "Administrators"))
    return sorted(row for row in found if row[1] == "never" or row[1] < "2026-01-01")


def _mfa_by_country(whole: Whole) -> list[list[Any]]:
    here = [user for user in employees(whole) if "address" in user]
    rows = [
        [country, share(lambda user: bool(user["mfaEnabled"]), users)]
        for country, users in by(lambda user: str(user["address"]["countryCode"]), here).items()
    ]
    return sorted(rows, key=lambda row: (row[1], row[0]))


# For each question the values of its facts, in their order.
TRUTH: dict[str, Callable[[Week], list[Any]]] = {
    "left-this-week": lambda w: [
        [[one, department(w.was(one)), w.day(one, "delete")] for one in w.those("delete")],
    ],
    "switched-off-this-week": lambda w: [
        sorted(one for kind, one, _ in w.kinds() if kind == "user.deactivated"),
        [w.actor(one, "disable") for kind, one, _ in w.kinds() if kind == "user.deactivated"],
    ],
    "contractors-without-mfa": lambda w: [
        ranked(
            Counter(
                map(department, filter(both(in_population(w.after, "Contractors"), active, without_mfa), w.after.users))
            )
        ),
    ],
    "managers-with-disabled-reports": lambda w: [
        ranked(Counter(boss["username"] for user, boss in w.after.reports() if disabled(user)))[:8]
    ],
    "teams-of-disabled-managers": lambda w: [
        [
            [
                len({boss["id"] for user, boss in w.after.reports() if unable(boss) and active(user)}),
                sum(unable(boss) and active(user) for user, boss in w.after.reports()),
            ]
        ]
    ],
    "unused-groups": lambda w: [
        [
            [group, len(w.after.kinds[group])]
            for group in sorted(w.after.kinds)
            if not any(map(active, members(w.after, group)))
        ]
    ],
    "administrators-never-signed-in": lambda w: [_never_lately(w.after)],
    "in-two-exclusive-groups": lambda w: [[[one, "direct"] for one in _conflicting(w.after)]],
    "locked-lately-by-day": lambda w: [
        in_order(
            Counter(
                user["account"]["lockedAt"][:10]
                for user in w.after.users
                if user["account"].get("lockedAt", "") >= "2026-06-12T12:00:00Z"
            )
        )
    ],
    "invited-too-long": lambda w: [
        sorted(
            (
                [place, len(users), min(map(created, users))[:10]]
                for place, users in by(
                    w.after.population,
                    (user for user in w.after.users if invited(user) and created(user) < "2026-05-23T12:00:00Z"),
                ).items()
            ),
            key=lambda row: -int(row[1]),
        )
    ],
    "largest-groups": lambda w: [ranked(Counter({group: len(inside) for group, inside in w.after.kinds.items()}))[:5]],
    "departments-by-inactive": lambda w: [_inactive_shares(w.after)],
    "manager-gone": lambda w: [_gone_managers(w.after)],
    "outside-their-groups": lambda w: [_outside(w.after)],
    "one-address-two-accounts": lambda w: [_shared_addresses(w.after)],
    "namesakes": lambda w: [[_namesakes(w.after)]],
    "in-no-group": lambda w: [
        in_order(
            Counter(
                w.after.population(user)
                for user in w.after.users
                if not any(user["id"] in inside for inside in w.after.kinds.values())
            )
        )
    ],
    "employees-with-outside-addresses": lambda w: [
        sorted(
            [user["username"], user["email"]]
            for user in employees(w.after)
            if not user["email"].endswith("@example.com")
        )
    ],
    "time-zones": lambda w: [ranked(Counter(user.get("timezone", "none") for user in staff(w.after)))],
    "starters-by-week": lambda w: [
        in_order(
            Counter(
                datetime.fromisoformat(created(user)).strftime("%Y-%W")
                for user in w.after.users
                if created(user) >= "2026-04-27"
            )
        )
    ],
    "nested-counts": lambda w: [
        [_of_group(w.after, group) for group in ("Engineering", "Night Shift", "On Call", "Platform Team")]
    ],
    "roles-granted": lambda w: [
        [[one, "Identity Data Read Only", "population", "Contractors"] for one in sorted(w.those("grant"))],
        w.after.roles("zoe.kowalska"),
    ],
    "changes-by-kind": lambda w: [in_order(Counter(kind for kind, _, _ in w.kinds()))],
    "changes-by-actor": lambda w: [
        [
            [actor, len({one for _, one, by_ in w.kinds() if by_ == actor}), count]
            for actor, count in in_order(Counter(str(actor) for _, _, actor in w.kinds()))
        ]
    ],
    "access-gained": lambda w: [_gained(w)],
    "one-persons-week": lambda w: [
        [
            [
                w.day("nia.kumar@example.com", "edit"),
                "user.updated",
                w.before.by_name["nia.kumar"]["name"]["family"],
                w.after.by_name["nia.kumar"]["name"]["family"],
                w.after.by_name["nia.kumar"]["title"],
                w.actor("nia.kumar@example.com", "edit"),
            ]
        ]
    ],
    "changed-department": lambda w: [
        sorted(
            [user["username"], department(w.was(user["username"])), department(user)]
            for user in w.after.users
            if user["username"].partition("@")[0] in w.before.by_name
            and department(w.was(user["username"])) != department(user)
        )
    ],
    "taken-over": lambda w: [
        [[one, w.before.population(w.was(one)), "Employees"] for one in sorted(w.those("move", what="Employees"))]
    ],
    "idle-by-population": lambda w: [_idle(w.after)],
    "service-accounts": lambda w: [
        [
            [
                len(users),
                total(active, users),
                total(lambda user: bool(user["mfaEnabled"]), users),
                total(lambda user: bool(last_sign_on(user)), users),
            ]
            for users in [list(filter(in_population(w.after, "Service Accounts"), w.after.users))]
        ]
    ],
    "drift-of-a-list": lambda w: [
        ["noah.walsh@example.com"] if unable(w.after.by_name["noah.walsh"]) else [],
        [one for one in w.those("delete") if one == "magnus.lopes@example.com"],
        len(w.after.users),
    ],
    "review-of-a-group": lambda w: [
        len(members(w.after, "Administrators")),
        sorted(usernames(members(w.after, "Administrators"))),
        sorted(usernames(filter(unable, members(w.after, "Administrators")))),
        sorted(usernames(filter(without_mfa, members(w.after, "Administrators")))),
    ],
    "roles-of-one-person": lambda w: [
        _roles(w.after, w.after.by_name["zoe.ghosh4"]),
        [["payment-requester", "payment-approver"]] if "zoe.ghosh4@example.com" in _conflicting(w.after) else [],
    ],
    "roles-of-a-group": lambda w: [
        len(members(w.after, "Payment Requesters")),
        sorted(usernames(members(w.after, "Payment Requesters"))),
        _conflicting(w.after),
    ],
    "search-without-accents": lambda w: [
        [
            [user["username"], name(user), title(user)]
            for user in w.after.users
            if "Dvořák" in (name(user) or "").split()
        ]
    ],
    "search-title-and-name": lambda w: [
        [[total(_both_names, w.after.users), total(both(_both_names, active), w.after.users)]]
    ],
    "cost-centers": lambda w: [_centers(w.after)],
    "newest-per-department": lambda w: [_newest(w.after)],
    "how-long-locked": lambda w: [
        [
            [
                total(locked, w.after.users),
                total(locked, w.after.users) - len(_days_locked(w.after)),
                round(sum(_days_locked(w.after)) / len(_days_locked(w.after)), 1),
                int(max(_days_locked(w.after))),
            ]
        ]
    ],
    "below-a-vice-president": lambda w: [
        [[len(team), total(active, team)] for team in [_below(w.after, "petra.jansen@example.com")]]
    ],
    "locked-with-vpn": lambda w: [
        [[total(locked, users), total(disabled, users)] for users in [members(w.after, "VPN Users")]]
    ],
    "members-of-a-dead-group": lambda w: [
        sorted(usernames(members(w.after, "Legacy CRM"))),
        ["inactive" if unable(user) else "active" for user in members(w.after, "Legacy CRM")],
        len(members(w.after, "Legacy CRM")),
    ],
    "incomplete-records": lambda w: [
        [
            [
                *(
                    sum(attribute not in user for user in staff(w.after))
                    for attribute in ("primaryPhone", "externalId", "manager", "department", "title")
                ),
                sum(user.get("emailVerified") is False for user in staff(w.after)),
            ]
        ]
    ],
    "mfa-by-country": lambda w: [_mfa_by_country(w.after)],
    "deleted-by-whom": lambda w: [
        sorted(w.those("delete")),
        [w.actor(one, "delete") for one in w.those("delete")],
        True,
    ],
    "growth": lambda w: [_growth(w.after)],
    "what-became-of": lambda w: [
        [["deleted", w.day("magnus.lopes@example.com", "delete"), title(w.was("magnus.lopes@example.com"))]],
        [["user.removed", w.day("magnus.lopes@example.com", "delete"), w.actor("magnus.lopes@example.com", "delete")]],
        [
            [len(users), total(active, users)]
            for users in [[user for user in w.after.users if user.get("manager") == "magnus.lopes@example.com"]]
        ],
    ],
}


@pytest.fixture(scope="module")
def week() -> Week:
    """Compute the truth from sandboxes of its own, which no product ever asks."""
    worlds = [company(Path("nowhere")) for _ in range(2)]
    anyio.run(live_through, worlds[1].sandbox)
    before, after = (
        Whole(users=list(world.sandbox.users()), state=world.sandbox.state(), sandbox=world.sandbox) for world in worlds
    )
    return Week(before=before, after=after)


@pytest.mark.parametrize("question", ALL, ids=lambda question: question.id)
@sampled(5)
def test_the_facts_are_what_the_sandbox_holds(week: Week, question: Question) -> None:
    assert list(question.facts.values()) == TRUTH[question.id](week)
