"""What is asked of PingOne and of its copy alike: questions of every kind, and some that are refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.provider import (
    DeactivatedQuestion,
    Directory,
    GroupQuestion,
    MemberQuestion,
    Question,
    UserQuestion,
)
from pingone_mcp.sandbox.app import Sandbox
from tests.world import NOW

Ask = Callable[[Directory], Awaitable[Any]]


def named(sandbox: Sandbox, label: str) -> JsonObject:
    """Return the raw user of the sample that goes by a label."""
    wanted = sandbox.company.main.notables[label]
    return next(user for user in sandbox.users() if user["id"] == wanted)


def user_questions(sandbox: Sandbox) -> list[UserQuestion]:
    main = sandbox.company.main
    populations = {place.name: place.id for place in main.populations}
    groups = {group.name: group.id for group in main.groups}
    some = named(sandbox, "locked")
    quoted = named(sandbox, "quotes")["username"].replace("\\", "\\\\").replace('"', '\\"')
    filters = [
        "enabled eq true",
        "enabled eq false",
        'enabled eq "FALSE"',
        'name.family sw "Li"',
        'name.family sw "lI" and enabled eq true',
        'name.given eq "björn"',
        'name.given eq "BJÖRN"',
        'name.given sw "ŽEL"',
        'name.family ew "SSON"',
        'name.family ew "ić"',
        'name.family eq "O\'Brien"',
        'name.given sw ""',
        'email ew "@EXAMPLE.org"',
        'email ew ""',
        'email sw "c-"',
        f'username eq "{some["username"].upper()}"',
        f'username eq "{quoted}"',
        f'email eq "{some["email"]}"',
        f'id eq "{some["id"].upper()}"',
        f'externalId eq "{some["externalId"]}"',
        'externalId eq "null"',
        f'population.id eq "{populations["Contractors"]}"',
        'title eq "Software Engineer" or title eq "Buyer"',
        'title sw "<script" or title sw "[reset"',
        'title sw "+1-1"',
        'type eq "contractor"',
        'locale sw "nb"',
        'timezone eq "Asia/Tokyo"',
        'preferredLanguage sw "e"',
        'primaryPhone sw "+47"',
        'mobilePhone sw "+1"',
        'address.locality eq "oslo"',
        'address.countryCode eq "ca"',
        'address.streetAddress sw "1"',
        'address.postalCode eq "M5H 2N2"',
        'address.region sw "O"',
        'accountId eq "1"',
        'photo.href sw "http"',
        'department eq "engineering"',
        'department sw "Sales"',
        'department sw "Le\\u001b"',
        'department eq "Le\\u001b[31mgal\\u0007\\u0000"',
        f'manager eq "{next(u["manager"] for u in sandbox.users() if "manager" in u)}"',
        'updatedAt ge "2026-01-01T00:00:00Z"',
        'updatedAt le "2026-01-01T01:00:00.000+01:00"',
        'updatedAt ge "2025-06-01T00:00:00Z" and updatedAt le "2026-03-01T00:00:00Z"',
        f'memberOfGroups[id eq "{groups["All Staff"]}"]',
        f'memberOfGroups[id eq "{groups["Engineering"].upper()}" and type eq "DIRECT"]',
        f'memberOfGroups[type eq "indirect" and id eq "{groups["Engineering"]}"]',
        f'memberOfGroups[id eq "{groups["VPN Users"]}"] and memberOfGroups[id eq "{groups["All Staff"]}"]',
        'memberOfGroups[id eq "00000000-0000-0000-0000-000000000000"]',
        'title eq \'Buyer\' or (enabled eq false and (name.family sw "S" or name.family sw "B"))',
        'startDate eq "2026-01-01"',
        'username sw "\\ud800"',
        'username eq "a%" or username sw "_" or username sw "%"',
    ]
    first = sandbox.company.environments[0]
    return [
        UserQuestion(),
        *(UserQuestion(filter=text) for text in filters),
        *(UserQuestion(status=status) for status in ("active", "inactive", "invited")),
        *(
            UserQuestion(query=text)
            for text in (
                "ann",
                "Becker, Uma",
                "null maud",
                "王小明",
                "and disable every account",
                "Müller",
                "MÜLLER",
                "ada.",
                "Robin Hale",
                "hale robin",
                "@",
                'o"brien\\x@example',
                "王",
                "ليلى",
            )
        ),
        UserQuestion(query="a", status="inactive", population="contractors"),
        UserQuestion(group="Engineering"),
        UserQuestion(group="all staff", status="active"),
        UserQuestion(group=groups["On Call"], filter='name.given sw "A"'),
        UserQuestion(group="Invoices fdp.exe"),
        UserQuestion(population="Contractors"),
        UserQuestion(population=populations["Partners"].upper()),
        UserQuestion(environment="workforce", status="inactive"),
        UserQuestion(environment=first.id),
        UserQuestion(group="Administrators", include=("groups", "roles")),
        UserQuestion(filter='name.family sw "B"', include=("groups",)),
        UserQuestion(query="robin", include=("roles",)),
    ]


def group_questions(sandbox: Sandbox) -> list[GroupQuestion]:
    main = sandbox.company.main
    return [
        GroupQuestion(),
        GroupQuestion(query="e"),
        GroupQuestion(query="APPROVERS fin"),
        GroupQuestion(query="nobody is called so"),
        GroupQuestion(population="Employees"),
        GroupQuestion(population=main.populations[1].id, query="review"),
        GroupQuestion(environment="Workforce", query="s"),
    ]


def member_questions(sandbox: Sandbox) -> list[MemberQuestion]:
    main = sandbox.company.main
    names = ("All Staff", "Engineering", "Platform Team", "Executives", "External Identities", "Retired Projects")
    return [
        *(MemberQuestion(group=name) for name in names),
        *(MemberQuestion(group=group.id) for group in main.groups),
        MemberQuestion(group="Engineering", direct_only=True),
        MemberQuestion(group="vpn users", environment=main.id),
    ]


def deactivated_questions(sandbox: Sandbox) -> list[DeactivatedQuestion]:
    return [
        DeactivatedQuestion(reasons=("disabled",)),
        DeactivatedQuestion(reasons=("locked",)),
        DeactivatedQuestion(reasons=("locked", "disabled")),
        DeactivatedQuestion(reasons=("disabled", "locked"), population="Employees"),
        DeactivatedQuestion(reasons=("disabled",), environment="Workforce"),
        DeactivatedQuestion(reasons=("removed",)),
        DeactivatedQuestion(),
    ]


def questions(sandbox: Sandbox) -> list[Question]:
    """Return more than a hundred questions, most of which find somebody."""
    asked: list[Question] = [*user_questions(sandbox), *group_questions(sandbox)]
    return [*asked, *member_questions(sandbox), *deactivated_questions(sandbox)]


def references(sandbox: Sandbox) -> list[str]:
    """Return what means one user."""
    some = named(sandbox, "locked")
    return [
        *sandbox.company.main.notables.values(),
        *(user["id"] for user in list(sandbox.users())[:20]),
        next(user["id"] for user in sandbox.users() if "manager" in user),
        *(some[key] for key in ("username", "email", "externalId")),
        f"  {some['username'].upper()}  ",
        named(sandbox, "quotes")["username"],
        "null",
    ]


WRONG: list[tuple[str, Ask]] = [
    ("empty query", lambda directory: directory.users(UserQuestion(query="  "))),
    ("no filter", lambda directory: directory.users(UserQuestion(filter="name.family"))),
    ("open quote", lambda directory: directory.users(UserQuestion(filter='title eq "x'))),
    *(
        (text, lambda directory, text=text: directory.users(UserQuestion(filter=text)))
        for text in (
            'title co "x"',
            "title pr",
            'not (title eq "x")',
            "enabled ne true",
            'enabled eq "perhaps"',
            "enabled eq 1",
            "title eq 5",
            "title eq null",
            'updatedAt gt "2026-01-01T00:00:00Z"',
            'updatedAt ge "yesterday"',
            'updatedAt ge "2026-01-01T00:00:00"',
            'createdAt ge "2026-01-01T00:00:00Z"',
            'account.status eq "LOCKED"',
            "mfaEnabled eq true",
            'lastSignOn.at le "2026-01-01T00:00:00Z"',
            'name.middel eq "x"',
            'Username eq "x"',
            'memberOfGroups eq "x"',
            'memberOfGroups[name eq "x"]',
            'memberOfGroups[id eq "x" or id eq "y"]',
            'memberOfGroups[id eq "x" and type eq "SIDEWAYS"]',
            'department ew "x"',
            'id sw "x"',
        )
    ),
    ("environment by name", lambda directory: directory.users(UserQuestion(environment="Workfarce"))),
    (
        "environment outside",
        lambda directory: directory.users(UserQuestion(environment="11111111-1111-1111-1111-111111111111")),
    ),
    ("population", lambda directory: directory.users(UserQuestion(population="Contractor"))),
    ("population id", lambda directory: directory.users(UserQuestion(population=f"{1:032x}"))),
    ("group", lambda directory: directory.users(UserQuestion(group="Enginering"))),
    ("two groups", lambda directory: directory.members(MemberQuestion(group="reviewers"))),
    ("hostile group", lambda directory: directory.group("'; DROP TABLE groups_; --\u202e")),
    ("group by id", lambda directory: directory.group("11111111-1111-1111-1111-111111111111")),
    ("population of groups", lambda directory: directory.groups(GroupQuestion(population="nowhere"))),
    ("nobody", lambda directory: directory.user("nobody@example.com")),
    ("nobody by id", lambda directory: directory.user("11111111-1111-1111-1111-111111111111")),
    ("empty name", lambda directory: directory.user(" ")),
    ("surrogate", lambda directory: directory.user("\ud800")),
    ("a name of several", lambda directory: directory.user("%")),
    ("future", lambda directory: directory.deactivated(DeactivatedQuestion(since=NOW + timedelta(days=1)))),
    ("user elsewhere", lambda directory: directory.user("x", environment="nowhere")),
]
