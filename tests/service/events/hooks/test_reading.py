"""A delivery is taken apart by what it is, and nothing of it gets lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.service.events.hooks.reading import MOST_EVENTS, decoded, id_of_unreadable, read_delivery

A, B = {"id": "a", "x": "ü\n"}, {"id": "b"}


def ids(body: bytes) -> list[str]:
    return [event.id for event in read_delivery(body).events]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([A, B]).encode(),
        json.dumps([A, B], indent=2).encode(),
        b"\xef\xbb\xbf" + json.dumps([A, B]).encode(),
        b"\n" + json.dumps(A).encode() + b"\r\n\r\n" + json.dumps(B).encode() + b"\n",
        json.dumps([A]).encode() + b"\n" + json.dumps([B]).encode(),
    ],
)
def test_an_array_and_lines_are_the_same_events(body: bytes) -> None:
    read = read_delivery(body)
    assert [event.activity for event in read.events] == [A, B]
    assert [json.loads(event.body) for event in read.events] == [A, B]
    assert read.unreadable == ()


def test_a_single_object_is_one_event() -> None:
    assert ids(json.dumps(A, indent=1).encode()) == ["a"]


@pytest.mark.parametrize("body", [b"", b" \n", b"[]"])
def test_nothing_is_nothing(body: bytes) -> None:
    assert read_delivery(body) == read_delivery(b"")


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b'[{"id": "a"}, {"id": ',
        b"\xff\xfe[\x00]\x00",
        b'{"event": {"id": "a"}}',
        b'"a"',
        b"1",
        b"null",
        b"[1, [], null]",
        b'[{"id": 1}, {"id": ""}, {"id": "a\\u0000"}]',
        b"[" * 100_000,
        b'[{"id": "' + b"a" * 201 + b'"}]',
        b'{"id": "\\ud800"}',
        json.dumps([{"id": str(number)} for number in range(MOST_EVENTS + 1)]).encode(),
        b'{"id": "a"}\n' * (MOST_EVENTS + 1),
    ],
)
def test_where_nothing_can_be_read_the_whole_is_kept(body: bytes) -> None:
    read = read_delivery(body)
    assert read.events == ()
    assert read.unreadable == (body.strip(),)


def test_what_can_be_read_beside_what_cannot_is_read() -> None:
    read = read_delivery(json.dumps([A, "odd", {"id": None}, B]).encode())
    assert [event.id for event in read.events] == ["a", "b"]
    assert read.unreadable == (b'"odd"', b'{"id": null}')
    read = read_delivery(b'{"id": "a"}\n{"id": \n{"id": "b"}')
    assert [event.id for event in read.events] == ["a", "b"]
    assert read.unreadable == (b'{"id":',)


@pytest.mark.parametrize(
    "strange", [b"1e400", b'"\\ud800"', b'"\\u0000"', b"1" * 400, b'"\xff"', b"[" * 900 + b"]" * 900]
)
def test_one_strange_event_takes_no_other_with_it(strange: bytes) -> None:
    """Names are what people call themselves: one of them must not silence five hundred others."""
    odd = b'{"id": "odd", "x": ' + strange + b"}"
    read = read_delivery(b'[{"id": "a"},' + odd + b',{"id": "b"}]')
    assert [event.id for event in read.events if event.id != "odd"] == ["a", "b"]
    assert len(read.events) + len(read.unreadable) == 3
    for event in read.events:
        assert decoded(event.body) == event.activity, "whoever reads it later can"


def test_the_same_bytes_have_the_same_id() -> None:
    assert id_of_unreadable(b"x") == id_of_unreadable(b"x") != id_of_unreadable(b"y")


@given(st.binary(max_size=200))
def test_no_bytes_are_refused(body: bytes) -> None:
    read = read_delivery(body)
    assert bool(read.unreadable) or bool(read.events) or body.removeprefix(b"\xef\xbb\xbf").strip() in (b"", b"[]")
