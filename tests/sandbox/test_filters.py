from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.sandbox import scim
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.people import value_at
from pingone_mcp.sandbox.company.sample import Company
from pingone_mcp.sandbox.company.state import EnvironmentState, user_language
from pingone_mcp.sandbox.options import Options
from pingone_mcp.sandbox.times import MovableClock, parse_timestamp
from tests.sandbox.entrance import NOW, enter

pytestmark = pytest.mark.anyio

LANGUAGE = user_language(Options())
COMPANY = Company(90, now=NOW)
STATE = EnvironmentState(COMPANY.main, Options(), MovableClock(NOW))
USERS = list(STATE.users())


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def names(user: dict[str, Any], path: str) -> str:
    return str(value_at(user, path) or "").lower()


Predicate = Callable[[dict[str, Any]], bool]


def leaf(path: str, operator: str, text: str) -> tuple[str, Predicate]:
    wanted = text.lower()

    def check(user: dict[str, Any]) -> bool:
        actual = value_at(user, path)
        if actual is None:
            return False
        value = str(actual).lower()
        return {"eq": value == wanted, "sw": value.startswith(wanted), "ew": value.endswith(wanted)}[operator]

    return f"{path} {operator} {quoted(text)}", check


def enabled(flag: bool) -> tuple[str, Predicate]:
    return f"enabled eq {str(flag).lower()}", lambda user: user["enabled"] is flag


def updated(operator: str, at: str) -> tuple[str, Predicate]:
    def check(user: dict[str, Any]) -> bool:
        value, bound = parse_timestamp(user["updatedAt"]), parse_timestamp(at)
        return value >= bound if operator == "ge" else value <= bound

    return f"updatedAt {operator} {quoted(at)}", check


def values(path: str) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted({str(found) for user in USERS if (found := value_at(user, path)) is not None}))


leaves: st.SearchStrategy[tuple[str, Predicate]] = st.one_of(
    st.builds(enabled, st.booleans()),
    st.builds(updated, st.sampled_from(["ge", "le"]), values("updatedAt")),
    st.builds(leaf, st.just("population.id"), st.just("eq"), values("population.id")),
    *(
        st.builds(leaf, st.just(path), st.just("eq"), values(path).map(str.upper))
        for path in ("username", "email", "title", "department", "type", "manager")
    ),
    *(
        st.builds(leaf, st.just(path), st.just("sw"), values(path).map(lambda text: text[:2]))
        for path in ("username", "name.given", "externalId", "department")
    ),
    *(
        st.builds(leaf, st.just(path), st.just("ew"), values(path).map(lambda text: text[-3:]))
        for path in ("email", "name.family")
    ),
)


def joined(word: str, parts: list[tuple[str, Predicate]]) -> tuple[str, Predicate]:
    fold = all if word.lower() == "and" else any
    return f" {word} ".join(f"({text})" for text, _ in parts), lambda user: fold(check(user) for _, check in parts)


trees = st.recursive(
    leaves,
    lambda parts: st.builds(
        joined, st.sampled_from(["and", "AND", "or", "Or"]), st.lists(parts, min_size=2, max_size=3)
    ),
    max_leaves=6,
)


@given(trees)
def test_a_filter_finds_exactly_those_for_whom_it_holds(tree: tuple[str, Predicate]) -> None:
    text, check = tree
    flags = STATE.matching(scim.parse(text, LANGUAGE))
    found = [position for position, flag in enumerate(flags) if flag]
    assert [STATE.user(position) for position in found] == [user for user in USERS if check(user)]


@given(trees, st.lists(st.integers(0, 89), max_size=6, unique=True), st.booleans())
def test_a_filter_still_does_after_changes(tree: tuple[str, Predicate], positions: list[int], remove: bool) -> None:
    text, check = tree
    state = EnvironmentState(COMPANY.main, Options(), MovableClock(NOW))
    node = scim.parse(text, LANGUAGE)
    state.matching(node)
    for position in positions:
        if remove:
            state.remove_user(position)
        else:
            state.put_user(position, state.user(position) | {"enabled": False, "department": "Moved"})
    found = {position for position, flag in enumerate(state.matching(node)) if flag}
    assert found == {at for at in range(90) if state.exists(at) and check(state.user(at))}


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(scim.InvalidFilter):
        scim.parse(text, LANGUAGE)


@given(st.text(min_size=1, max_size=20))
def test_any_value_survives_quoting(text: str) -> None:
    node = scim.parse(f"title eq {quoted(text)}", LANGUAGE)
    assert node == scim.AttributeCondition("title", "eq", text.lower())


def test_and_binds_closer_than_or() -> None:
    node = scim.parse('title eq "a" or title eq "b" AND enabled eq true', LANGUAGE)
    assert isinstance(node, scim.Disjunction)
    assert isinstance(node.parts[1], scim.Conjunction)


REFUSED = [
    "",
    "enabled",
    "enabled eq",
    "enabled eq maybe",
    "enabled ne true",
    "enabled eq true and",
    "(enabled eq true",
    "enabled eq true)",
    "title eq Manager",
    "title eq 'Manager'",
    'title eq "Manager',
    'title eq "\\q"',
    'title co "x"',
    "title pr",
    'title ew "x"',
    'not (title eq "x")',
    'createdAt ge "2026-01-01T00:00:00Z"',
    'lastSignOn.at ge "2026-01-01T00:00:00Z"',
    'account.status eq "LOCKED"',
    'lifecycle.status eq "ACCOUNT_OK"',
    "mfaEnabled eq true",
    'identityProvider.type eq "PING_ONE"',
    'updatedAt ge "yesterday"',
    'updatedAt ge "2026-01-01T00:00:00"',
    'updatedAt eq "2026-01-01T00:00:00Z"',
    'Username eq "x"',
    'memberOfGroups[type eq "DIRECT"]',
    'memberOfGroups[id eq "x" or type eq "DIRECT"]',
    'memberOfGroups[id eq "x" and type eq "SIDEWAYS"]',
    'memberOfGroups[id eq "x"',
    'memberOfGroups eq "x"',
    "(" * 500 + "enabled eq true" + ")" * 500,
]


@pytest.mark.parametrize("text", REFUSED)
async def test_what_is_not_supported_is_refused(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.get("/users", params={"filter": text or " "})
    body = answer.json()
    assert (answer.status_code, body["code"], body["details"][0]["code"]) == (400, "INVALID_DATA", "INVALID_FILTER")
    assert len(body["id"]) == 36


async def test_a_refusal_names_what_is_supported(client: httpx.AsyncClient) -> None:
    unknown = await client.get("/users", params={"filter": 'shoeSize eq "9"'})
    assert "username" in unknown.json()["details"][0]["innerError"]["supportedAttributes"]
    operator = await client.get("/users", params={"filter": 'email co "x"'})
    assert operator.json()["details"][0]["innerError"] == {"supportedOperators": ["eq", "ew", "sw"]}


async def test_options_open_what_is_unconfirmed() -> None:
    extra = (("createdAt", "ge"), ("account.status", "eq"), ("title", "co"), ("externalId", "pr"), ("mfaEnabled", "eq"))
    sandbox = Sandbox(size=60, now=NOW, options=Options(extra_filters=extra, filter_not=True, quoted_boolean=False))
    async with enter(sandbox) as client:
        cases: dict[str, Predicate] = {
            'createdAt ge "2025-01-01T00:00:00Z"': lambda user: bool(user["createdAt"] >= "2025"),
            'account.status eq "locked"': lambda user: bool(user["account"]["status"] == "LOCKED"),
            'title co "MANAGER"': lambda user: "manager" in user.get("title", "").lower(),
            "not (externalId pr)": lambda user: "externalId" not in user,
            "mfaEnabled eq false": lambda user: not user["mfaEnabled"],
        }
        for text, check in cases.items():
            page = (await client.get("/users", params={"filter": text})).json()
            expected = [user["id"] for user in sandbox.users() if check(user)]
            assert [user["id"] for user in page["_embedded"]["users"]] == expected
        assert (await client.get("/users", params={"filter": 'enabled eq "true"'})).status_code == 400


async def test_an_environment_may_refuse_a_documented_filter() -> None:
    async with enter(Sandbox(size=10, now=NOW, options=Options(refused_filters=("updatedAt",)))) as client:
        text = 'updatedAt ge "2020-01-01T00:00:00Z"'
        refused = await client.get("/users", params={"filter": text})
        assert refused.json()["details"][0]["code"] == "INVALID_FILTER"
        assert (await client.get("/users", params={"filter": "enabled eq true"})).status_code == 200


async def test_the_quoted_boolean_of_a_shipped_client_works(client: httpx.AsyncClient) -> None:
    plain = (await client.get("/users", params={"filter": "enabled eq false"})).json()
    shouted = (await client.get("/users", params={"filter": 'enabled EQ "FALSE"'})).json()
    assert plain["count"] == shouted["count"] > 0
    assert plain["_embedded"] == shouted["_embedded"]


@pytest.mark.parametrize(
    ("path", "text", "status"),
    [
        ("/populations", 'name sw "con" or name eq "partners"', 200),
        ("/populations", 'description eq "x"', 400),
        ("/groups", 'name eq "reviewers" and population.id eq "x"', 200),
        ("/groups", 'name sw "rev"', 400),
        ("/groups", 'externalId sw "x"', 200),
        ("/roles", 'type eq "PLATFORM"', 200),
        ("/roles", 'name eq "x"', 400),
    ],
)
async def test_other_lists_have_filters_of_their_own(
    client: httpx.AsyncClient, path: str, text: str, status: int
) -> None:
    assert (await client.get(path, params={"filter": text})).status_code == status


async def test_environments_are_filtered_by_and_alone(client: httpx.AsyncClient) -> None:
    address = "https://api.example.net/v1/environments"
    page = (await client.get(address, params={"filter": 'name sw "work" and status eq "active"'})).json()
    assert [one["name"] for one in page["_embedded"]["environments"]] == ["Workforce"]
    assert (await client.get(address, params={"filter": 'name sw "w" or name sw "c"'})).status_code == 400
    assert (await client.get(address, params={"filter": 'name eq "Workforce"'})).status_code == 400
