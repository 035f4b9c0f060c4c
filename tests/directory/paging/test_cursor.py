"""A cursor is ours, whole, for this tool and this question; and a chain of pages that runs in a circle ends."""

from __future__ import annotations

import base64
import hashlib
import itertools
import string
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.gaps import OnlyServedPopulations, UnreadableEnvironment
from pingone_mcp.directory.paging.cursor import CursorSeal, LoopGuard, Mark, same_question
from pingone_mcp.directory.paging.position import Counted, Position
from pingone_mcp.errors import Refused

KEY = b"k" * 32
SEAL = CursorSeal(KEY)
QUESTION: dict[str, object] = {"query": "Ann", "limit": 5, "fields": ["id", "name"], "status": None}
MARK = Mark(
    position=Position(part="x 0", after="/environments/x/users?cursor=abc"),
    after=("a", "b"),
    guard=LoopGuard(mark="f" * 16, steps=3, power=8),
)
CURSOR = SEAL.seal("list_users", QUESTION, MARK)
URL_SAFE = string.ascii_letters + string.digits + "-_"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
POSITIONS = st.builds(
    Position,
    source=st.sampled_from(["live", "replica"]),
    part=st.text(max_size=20),
    label=st.text(max_size=8),
    after=st.none() | st.text(max_size=60),
    size=st.none() | st.integers(1, 1_000),
    counted=st.builds(Counted, came=st.integers(0), left_out=st.integers(0), said=st.none() | st.integers(0)),
    gaps=st.sampled_from([(), (OnlyServedPopulations(), UnreadableEnvironment(place="x", or_none=True))]),
)
MARKS = st.builds(
    Mark,
    position=st.none() | POSITIONS,
    after=st.lists(st.text(max_size=36), max_size=4).map(tuple),
    guard=st.builds(LoopGuard, mark=st.text(max_size=16), steps=st.integers(0, 2**40), power=st.integers(1, 2**41)),
)


def refused(cursor: str, *, seal: CursorSeal = SEAL, listing: str = "list_users") -> str | None:
    with pytest.raises(Refused) as caught:
        seal.open(listing, cursor)
    return caught.value.code


@given(st.text(max_size=20), st.dictionaries(st.text(max_size=10), VALUES, max_size=4), MARKS)
def test_what_was_sealed_is_opened_again(listing: str, question: dict[str, object], mark: Mark) -> None:
    cursor = SEAL.seal(listing, question, mark)
    assert SEAL.open(listing, cursor) == (question, mark)
    assert set(cursor) <= set(URL_SAFE)


def test_a_cursor_does_not_show_the_key() -> None:
    assert base64.urlsafe_b64encode(KEY).decode()[:16] not in CURSOR


def test_no_edit_of_a_single_character_is_accepted() -> None:
    replacements = URL_SAFE + "+/=. \n%é\x00"
    for index, character in itertools.product(range(len(CURSOR)), replacements):
        if CURSOR[index] != character:
            assert refused(CURSOR[:index] + character + CURSOR[index + 1 :]) == "FOREIGN_CURSOR"


def test_no_edit_of_a_single_byte_below_the_encoding_is_accepted() -> None:
    sealed = base64.urlsafe_b64decode(CURSOR + "=" * (-len(CURSOR) % 4))
    for index, bit in itertools.product(range(len(sealed)), range(8)):
        edited = bytearray(sealed)
        edited[index] ^= 1 << bit
        refused(base64.urlsafe_b64encode(edited).decode().rstrip("="))


def test_no_truncation_is_accepted() -> None:
    for length in range(len(CURSOR)):
        refused(CURSOR[:length])
        refused(CURSOR[length + 1 :])


@pytest.mark.parametrize("extra", ["=", "==", "A", "AA", "AAAA", "\n", " ", "\x00", ".", "é", "\ud800"])
@pytest.mark.parametrize("size", range(4))
def test_no_extension_is_accepted(extra: str, size: int) -> None:
    cursor = SEAL.seal("list_users", QUESTION, Mark(position=Position(after="x" * size)))
    refused(cursor + extra)
    refused(extra + cursor)


def test_a_cursor_of_another_connection_is_refused() -> None:
    assert refused(CURSOR, seal=CursorSeal(b"another")) == "FOREIGN_CURSOR"


def test_a_cursor_of_another_tool_is_refused_with_its_reason() -> None:
    with pytest.raises(Refused, match="belongs to another tool"):
        SEAL.open("find_deactivated", CURSOR)


def test_a_cursor_of_another_version_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pingone_mcp.directory.paging.cursor._VERSION", 1)
    old = SEAL.seal("list_users", QUESTION, MARK)
    monkeypatch.undo()
    assert refused(old) == "STALE_CURSOR"


@given(POSITIONS, st.integers(0), st.none() | st.integers(0))
def test_a_place_is_the_same_whatever_was_counted_on_the_way(position: Position, came: int, size: int | None) -> None:
    counted = Counted(came=came, left_out=1, said=came)
    assert replace(position, counted=counted, size=size, gaps=()).place == position.place


@given(st.one_of(st.text(), st.text(URL_SAFE), st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_garbage_is_refused_and_nothing_else(garbage: str) -> None:
    refused(garbage)


@given(st.binary())
def test_garbage_that_unpacks_is_refused_for_its_seal(raw: bytes) -> None:
    refused(base64.urlsafe_b64encode(bytes(16) + zlib.compress(raw)).decode().rstrip("="))


@pytest.mark.parametrize("size", [16_001, 10_000_000])
def test_a_huge_text_is_refused_unread(size: int) -> None:
    assert refused("A" * size) == "FOREIGN_CURSOR"


def test_even_an_own_cursor_is_refused_beyond_the_longest() -> None:
    noise = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(400))
    assert refused(SEAL.seal("list_users", {}, Mark(position=Position(after=noise)))) == "FOREIGN_CURSOR"


def test_nothing_is_unpacked_before_the_seal_is_known_to_be_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(_: bytes) -> bytes:
        raise AssertionError("unpacked what nobody has vouched for")

    bomb = base64.urlsafe_b64encode(bytes(16) + zlib.compress(bytes(5_000_000), 9)).decode().rstrip("=")
    assert len(bomb) < 16_000
    monkeypatch.setattr(zlib, "decompress", unpack)
    assert refused(bomb) == "FOREIGN_CURSOR"


# ---------------------------------------------------------------------------------------------------------- question


def test_the_cursor_alone_goes_on_with_its_question() -> None:
    assert same_question({}, QUESTION) == QUESTION


def test_the_same_arguments_may_be_given_again() -> None:
    assert same_question({"query": "Ann", "fields": ["id", "name"]}, QUESTION) == QUESTION


@pytest.mark.parametrize(
    ("asked", "named"),
    [({"query": "Bob"}, "query"), ({"new": 1}, "new"), ({"status": "x", "limit": 6}, "limit, status")],
)
def test_another_question_is_refused_by_the_names_of_its_arguments(asked: dict[str, object], named: str) -> None:
    with pytest.raises(Refused, match=f"another value of: {named}\\."):
        same_question(asked, QUESTION)


# ------------------------------------------------------------------------------------------------------------ circles


@given(tail=st.integers(0, 70), cycle=st.integers(1, 70))
def test_every_circle_is_noticed(tail: int, cycle: int) -> None:
    around = (str(step if step < tail else tail + (step - tail) % cycle) for step in itertools.count())
    guard = LoopGuard()
    for steps, position in enumerate(around):
        following = guard.after(position)
        if following is None:
            assert steps >= tail + cycle  # not before it came round
            return
        assert steps <= 4 * (tail + cycle) + 4
        guard = following


@given(st.lists(st.text(), unique=True, max_size=300))
def test_a_chain_without_repetition_is_never_stopped(positions: list[str]) -> None:
    guard: LoopGuard | None = LoopGuard()
    for position in positions:
        assert guard is not None
        guard = guard.after(position)
    assert guard is not None


def test_a_long_chain_is_never_stopped() -> None:
    guard: LoopGuard | None = LoopGuard()
    for step in range(20_000):
        assert guard is not None
        guard = guard.after(f"/users?cursor={step}")


def test_a_guard_survives_its_cursor() -> None:
    guard = LoopGuard()
    for step in range(200):
        following = guard.after(str(step % 7))
        if following is None:
            break
        sealed = SEAL.seal("list_users", {}, Mark(position=Position(after=str(step)), guard=following))
        guard = SEAL.open("list_users", sealed)[1].guard
    else:
        pytest.fail("a circle of 7 was not noticed across cursors")
