"""JSON text of others: a value that cannot be held is text, and what is beside it stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.text.json_text import LEVELS, TooManyItems, loads, loads_in_steps, shallow, without_nul

DIGITS = "9" * 5_000
MARK = f"[nested deeper than {LEVELS} levels]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("123456789012345678", 123456789012345678),
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63)), -(2**63)),
        (str(2**63), str(2**63)),
        (str(-(2**63) - 1), str(-(2**63) - 1)),
        (DIGITS, DIGITS),
        (f"-{DIGITS}", f"-{DIGITS}"),
        ("1e308", 1e308),
        ("1e400", "1e400"),
        ("-1E400", "-1E400"),
        (f"{DIGITS}.5", f"{DIGITS}.5"),
        ("1e-400", 0.0),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_number_that_cannot_be_held_is_its_text(text: str, value: object) -> None:
    read = loads(f'[{{"odd":{text}}},{{"plain":1}}]')
    assert read == [{"odd": value}, {"plain": 1}]
    assert type(read[0]["odd"]) is type(value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[1,NaN]", "", "{", "[1]]", '{"a":1,}'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_bytes_are_read_in_every_encoding_that_json_had(encoding: str) -> None:
    assert loads('{"name":"Zoë"}'.encode(encoding)) == {"name": "Zoë"}


def test_of_two_members_of_one_name_the_last_counts() -> None:
    assert loads('{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize("levels", [2, LEVELS, LEVELS + 1, 500, 5_000, 100_000])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"]\\"":', "}")])
def test_what_is_nested_too_deeply_is_cut_and_what_is_beside_it_stays(levels: int, start: str, end: str) -> None:
    text = f'[{{"odd":{start * levels}1{end * levels}}},{{"plain":["]{{",2]}}]'
    odd, plain = loads(text)
    assert plain == {"plain": ["]{", 2]}
    value = shallow(odd["odd"])
    assert (MARK in json.dumps(value)) is (levels > LEVELS)
    if levels <= LEVELS:
        assert value is odd["odd"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":[' * 50_000 + '"un', "[" * 5_000_000])
def test_what_breaks_off_deep_down_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)


plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain_json)
def test_everything_else_is_read_as_python_reads_it(value: Any) -> None:
    text = json.dumps(value)
    assert loads(text) == json.loads(text)
    assert shallow(value) is value


@given(st.text(alphabet='\0\\u0a"\n', max_size=12))
def test_no_text_holds_a_character_that_ends_it(text: str) -> None:
    content = json.dumps({text: [text, text]}).encode()
    shown = text.replace("\0", "")
    assert json.loads(without_nul(content)) == {shown: [shown, shown]}


# In steps


@given(plain_json, st.sampled_from([None, 1]))
def test_in_steps_the_same_is_read(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert loads_in_steps(f" {text}\n", 1_000) == loads(text)


@given(st.text(alphabet='[]{}":, 1ea\\\n', max_size=30))
def test_in_steps_the_same_is_refused(text: str) -> None:
    def read(how: Callable[[str], Any]) -> Any:
        try:
            return how(text)
        except ValueError:
            return ValueError

    assert read(lambda text: loads_in_steps(text, 1_000)) == read(loads)


@pytest.mark.parametrize("text", ["[1,2,3,4]", '{"a":[],"b":[1,2,3,4]}'])
def test_in_steps_a_list_ends_where_it_is_too_long(text: str) -> None:
    with pytest.raises(TooManyItems):
        loads_in_steps(text[:-1] + "," + "never read", 3)


def test_in_steps_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        loads_in_steps("[" * 100_000, 3)
