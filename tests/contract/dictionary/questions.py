"""What is asked of the dictionary and of its copy alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from pingone_mcp.directory.provider import (
    DeactivatedQuestion,
    Directory,
    GroupQuestion,
    MemberQuestion,
    Question,
    UserQuestion,
)
from tests.contract.dictionary.company import START, Company, number

Ask = Callable[[Directory], Awaitable[Any]]
_FILTERS = (
    "active eq true",
    "active eq false",
    'given sw "AD"',
    'family eq "brook" and job eq "Nurse"',
    'mail ew ".EXAMPLE"',
    'mail ew "1@dictionary.example" or login sw "eve"',
    'desk sw "éCLAIR"',
    'town eq "łÓDŹ"',
    'badge eq "b5"',
    f'key eq "{number(1_000).upper()}"',
    'changed ge "2026-06-15T12:00:10Z" and changed le "2026-06-15T12:00:20Z"',
    'login sw ""',
    'login eq "\\ud800"',
)


def questions(company: Company) -> list[Question]:
    groups = [group.id for group in company.groups.values()]
    return [
        UserQuestion(),
        *(UserQuestion(filter=text) for text in _FILTERS),
        *(UserQuestion(status=status) for status in ("active", "inactive", "invited")),
        *(UserQuestion(query=text) for text in ("ada", "Abel, Bo", "cleo brook", "@", "eve.abel4", "nobody")),
        UserQuestion(population="staff"),
        UserQuestion(population=number(13), status="inactive"),
        UserQuestion(environment="branch", include=("groups", "roles")),
        UserQuestion(environment=number(1), query="a"),
        *(UserQuestion(group=group) for group in groups),
        UserQuestion(group="engineers", filter='job sw "N"'),
        GroupQuestion(),
        GroupQuestion(query="RING"),
        GroupQuestion(population="Staff"),
        GroupQuestion(environment="Branch"),
        *(MemberQuestion(group=group) for group in groups),
        MemberQuestion(group="Engineers", direct_only=True),
        MemberQuestion(group="readers", environment="Branch"),
        DeactivatedQuestion(),
        *(DeactivatedQuestion(reasons=(reason,)) for reason in ("disabled", "locked", "removed")),
        DeactivatedQuestion(reasons=("disabled",), population="Staff"),
    ]


def references(company: Company) -> list[str]:
    """Return what means one user."""
    users = list(company.users.values())
    return [
        *(user.id for user in users),
        *(user.username.upper() for user in users[:5] if user.username),
        *(f" {user.external_id} " for user in users[5:8]),
        *(user.email for user in users[8:10] if user.email),
    ]


WRONG: list[tuple[str, Ask]] = [
    ("empty query", lambda directory: directory.users(UserQuestion(query="  "))),
    *(
        (text, lambda directory, text=text: directory.users(UserQuestion(filter=text)))
        for text in (
            "login",
            'login co "x"',
            "login pr",
            'not (login eq "x")',
            'active eq "perhaps"',
            "active eq 1",
            "login eq 5",
            'changed ge "yesterday"',
            'born ge "2026-01-01T00:00:00Z"',
            'group eq "x"',
            'username eq "x"',
            'Login eq "x"',
            'shoes eq "x"',
            'login[key eq "x"]',
        )
    ),
    ("environment by name", lambda directory: directory.users(UserQuestion(environment="Brunch"))),
    ("environment outside", lambda directory: directory.users(UserQuestion(environment=number(9)))),
    ("population", lambda directory: directory.users(UserQuestion(population="Gusts"))),
    ("population id", lambda directory: directory.users(UserQuestion(population=number(99)))),
    ("group", lambda directory: directory.users(UserQuestion(group="Enginers"))),
    ("two groups", lambda directory: directory.members(MemberQuestion(group="readers"))),
    ("group by id", lambda directory: directory.group(number(999))),
    ("nobody", lambda directory: directory.user("nobody")),
    ("nobody by id", lambda directory: directory.user(number(999))),
    ("future", lambda directory: directory.deactivated(DeactivatedQuestion(since=START + timedelta(days=1)))),
    ("user elsewhere", lambda directory: directory.user("x", environment="nowhere")),
]
