"""Users read from bytes are the users that the same JSON objects are, whatever stands in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec import Raw

from pingone_mcp.directory.models import User
from pingone_mcp.directory.text import json_text
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import row_of, user_of
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.wire import UserReader
from pingone_mcp.pingone.wire.reading import MOST_NAMES
from pingone_mcp.pingone.wire.structs import PingOneUser
from tests.pingone.test_wire import ATTRIBUTES, NATIVE

PLACES: dict[str, str | None] = {"e1": "Acme", "p1": "People"}

TIMES = [
    "2022-04-26T16:42:05.051Z",
    "2024-02-29T00:00:00.000Z",
    "2023-02-29T00:00:00.000Z",
    "0000-01-01T00:00:00.000Z",
    "2026-04-31T00:00:00.000Z",
    "2026-W01-1T10:00:00.000Z",
    "2026-01-01T24:00:00.000Z",
    "2026-01-01T10:00:00Z",
    "2026-01-01T10:00:00.123456Z",
    "2026-01-01T10:00",
    "2026-01-01",
    "0001-01-01T00:00:00.000+05:00",
    "9999-12-31T23:59:59.999-05:00",
    "２０２６-01-01T10:00:00.000Z",
    "yesterday",
    "",
]
NUMBERS = ["1e999", "-1e999", "-0", "-0.0", "1E5", "1.0", "9223372036854775807", "9223372036854775808", "1" * 30]
NUMBERS += ["-9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" * 5000]


def text_of(value: Any) -> str:
    return json.dumps(value)


def object_text(members: list[tuple[str, str]]) -> str:
    """Return the JSON of an object; names may stand in it twice."""
    return "{" + ",".join(f"{text_of(name)}:{value}" for name, value in members) + "}"


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


STRINGS = st.text(st.characters(codec=None), max_size=6)  # lone surrogates among them
NAMES = (
    st.sampled_from([*NATIVE, "at", "status", "href", "given", "", "custom_0", "createdat", 'a"b', "a\\b"]) | STRINGS
)
LEAVES = (
    st.sampled_from([*NUMBERS, "null", "true", "false", '"\\u0041"', '"\\ud800"', nested(63), nested(64), nested(65)])
    | st.sampled_from(TIMES).map(text_of)
    | STRINGS.map(text_of)
    | st.integers().map(text_of)
    | st.floats(allow_nan=False, allow_infinity=False).map(text_of)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(NAMES, inner), max_size=3).map(object_text)
    ),
    max_leaves=5,
)


@st.composite
def near_users(draw: st.DrawFn) -> bytes:
    """Draw the JSON of a user of whom some members are missing, wrong, strange or doubled."""
    members = [(name, text_of(value)) for name, value in NATIVE.items() if draw(st.integers(0, 9))]
    for name in draw(st.lists(NAMES, max_size=3)):
        members.insert(draw(st.integers(0, len(members))), (name, draw(VALUES)))
    for name in draw(st.lists(st.sampled_from(["account", "name", "address", "photo", "lastSignOn"]), max_size=2)):
        inner = [(key, text_of(value)) for key, value in NATIVE[name].items()]
        inner.insert(draw(st.integers(0, len(inner))), (draw(st.sampled_from([key for key, _ in inner])), draw(VALUES)))
        members.append((name, object_text(inner)))
    return object_text(members).encode()


MAPPINGS: list[Mapping[str, str]] = [ATTRIBUTES, {}, {"department": "title", "manager": "account"}]


def expected(raw: bytes, attributes: Mapping[str, str]) -> User | None:
    """Return the user that the JSON object is."""
    value = json_text.loads(raw)
    try:
        return wire.user(value, attributes=attributes, environments=PLACES, populations=PLACES, remote_data=True)
    except UnexpectedAnswer:
        return None


@given(st.lists(near_users() | VALUES.map(str.encode), min_size=1, max_size=4), st.sampled_from(MAPPINGS))
@example([b'{"id":"u1","costCentre":"x","costCentre":7}'], ATTRIBUTES)
@example([b'{"id":"u1","b":1}', b'{"id":"u1","a":1,"b":2}'], {})
@example([b'{"id":"u1","":"x"}', b'{"id":"u1","":"x"}'], {})
def test_bytes_and_objects_are_the_same_users_and_rows(raws: list[bytes], attributes: Mapping[str, str]) -> None:
    reader = UserReader(attributes)
    there = [user for raw in raws if isinstance(json_text.loads(raw), dict) and (user := expected(raw, attributes))]
    for _ in range(2):  # the second time their attributes are known
        found, left_out = reader.read([*map(Raw, raws)])
        assert left_out == len(raws) - len(there)
        users = [reader.user(one, PLACES, PLACES, remote_data=True) for one in found]
        assert users == there
        assert [list(user.custom_attributes) for user in users] == [list(user.custom_attributes) for user in there]
        rows = [reader.row(one, "e1", remote_data=True) for one in found]
        assert rows == [row_of(user, "e1", remote_data=True) for user in there]
        assert [one.population for one in found] == [row.population_id for row in rows]


ODD = [*NUMBERS, "null", "true", "false", '""', '"x"', '"\\ud800"', "7", "7.5", "[]", "{}", '{"id":"x"}', '{"a":1}']
ODD += [nested(levels) for levels in (1, 63, 64, 65, 66, 200, 2_000)] + [f'[{{"a":{number}}}]' for number in NUMBERS]
ODD += [text_of(time) for time in TIMES]
PATHS = [(name,) for name in NATIVE] + [
    (name, inner) for name, value in NATIVE.items() if isinstance(value, dict) for inner in value
]


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_member_of_any_value_is_read_the_same_in_both_ways(path: tuple[str, ...]) -> None:
    raws = [changed(path, odd) for odd in ODD]
    there = [user for raw in raws if (user := expected(raw, ATTRIBUTES)) is not None]
    reader = UserReader(ATTRIBUTES)
    reader.read([Raw(changed((), ""))])
    found, left_out = reader.read([*map(Raw, raws)])
    assert left_out == len(raws) - len(there)
    for read, user in zip(found, there, strict=True):
        assert reader.user(read, PLACES, PLACES, remote_data=True) == user
        assert reader.row(read, "e1", remote_data=True) == row_of(user, "e1", remote_data=True)


def changed(path: tuple[str, ...], text: str) -> bytes:
    """Return the JSON of a user with another value at a path; `text` is JSON."""
    outer = {name: text_of(value) for name, value in NATIVE.items()}
    if len(path) == 1:
        outer[path[0]] = text
    elif path:
        inner = {name: text_of(value) for name, value in NATIVE[path[0]].items()}
        outer[path[0]] = object_text(list({**inner, path[1]: text}.items()))
    return object_text(list(outer.items())).encode()


@given(near_users())
def test_what_a_row_keeps_is_the_whole_user(raw: bytes) -> None:
    user = expected(raw, ATTRIBUTES)
    assume(user is not None)
    assert user is not None
    (read,), _ = UserReader(ATTRIBUTES).read([Raw(raw)])
    row = UserReader(ATTRIBUTES).row(read, "e1", remote_data=True)
    back = user_of(UserRow(*row), environments=PLACES, populations=PLACES)
    assert row_of(back, "e1", remote_data=True) == row


def is_typed(read: wire.ReadUser) -> bool:
    return type(read.known) is not PingOneUser


def raw_of(value: dict[str, Any]) -> Raw:
    return Raw(json.dumps(value).encode())


def test_an_attribute_is_met_once_and_known_from_then_on() -> None:
    reader, other = UserReader(ATTRIBUTES), UserReader(ATTRIBUTES)
    for way in (False, True):
        (read,), _ = reader.read([raw_of(NATIVE)])
        assert is_typed(read) is way
    (read,), _ = reader.read([raw_of({"id": "u2", "costCentre": None})])
    assert (is_typed(read), read.custom) == (True, {"costCentre": None})
    (read,), _ = reader.read([raw_of({"id": "u2"})])
    assert (is_typed(read), read.custom) == (True, {})
    (read,), _ = other.read([raw_of(NATIVE)])
    assert not is_typed(read)  # what one connection has learned is not another's


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "\ud800", "x" * 300])
def test_a_name_that_no_field_may_have_is_kept_all_the_same(name: str) -> None:
    reader = UserReader({})
    for _ in range(2):
        (read,), _ = reader.read([raw_of({"id": "u1", name: 1, "other": 2})])
        assert read.custom == {name: 1, "other": 2}
    (read,), _ = reader.read([raw_of({"id": "u1", "other": 2})])
    assert is_typed(read)


def test_so_many_names_are_learned_and_no_more() -> None:
    reader = UserReader({})
    for number in range(0, MOST_NAMES + 50, 50):
        custom = {f"x{one}": one for one in range(number, number + 50)}
        (read,), _ = reader.read([raw_of({"id": "u1", **custom})])
        assert read.custom == custom
    (known, unknown), _ = reader.read([raw_of({"id": "u1", f"x{at}": 1}) for at in (MOST_NAMES - 1, MOST_NAMES)])
    assert (is_typed(known), is_typed(unknown)) == (True, False)
    assert (known.custom, unknown.custom) == ({f"x{MOST_NAMES - 1}": 1}, {f"x{MOST_NAMES}": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"createdAt": 7},
        {"createdAt": "yesterday"},
        {"name": "Ann"},
        {"boss": 7},
        {"costCentre": ["x"]},
        {"flags": 2**63},
        {"id": 7},
    ],
    ids=str,
)
def test_one_strange_user_costs_no_other_one_the_fast_way(change: dict[str, Any]) -> None:
    reader = UserReader(ATTRIBUTES)
    reader.read([raw_of(NATIVE)])
    found, left_out = reader.read([raw_of(NATIVE), raw_of({**NATIVE, **change}), raw_of(NATIVE)])
    assert left_out == ("id" in change)
    assert is_typed(found[0])
    assert is_typed(found[-1])
