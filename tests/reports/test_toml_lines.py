"""Lines of a TOML document are known whatever stands in its strings."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.reports.toml_lines import KeyPath, line_of, lines_of

DOCUMENT = '''# [[rule]]
title = "[[rule]]"   # [[rule]]
[[rule]]
role = "a"

  [[ "rule" ]] # the second
role = """
[[rule]]
role = "no \\""" role
"""""
attributes.department = \'\'\'
[[rule]]'\'\'\'\'
attributes . "cost centre" = [ # [[rule]]
  "[[rule]]", [
    1, ],
  { x = "]" },
]
[rule.more]
deep = 1
open = """x"""" # "[
shut = \'\'\'x\'\'\'\' # '[
last = 1
[['rule']]
role = 'C:\\'
[[rule.part]]
x = 1
[[rule.part]]
x = 2
[other]
"a\\u0062" = { role = 1 }
'''


def test_every_header_and_key_has_its_line() -> None:
    tomllib.loads(DOCUMENT)
    assert lines_of(DOCUMENT) == {
        ("title",): 2,
        ("rule",): 3,
        ("rule", 0): 3,
        ("rule", 0, "role"): 4,
        ("rule", 1): 6,
        ("rule", 1, "role"): 7,
        ("rule", 1, "attributes"): 11,
        ("rule", 1, "attributes", "department"): 11,
        ("rule", 1, "attributes", "cost centre"): 13,
        ("rule", 1, "more"): 18,
        ("rule", 1, "more", "deep"): 19,
        ("rule", 1, "more", "open"): 20,
        ("rule", 1, "more", "shut"): 21,
        ("rule", 1, "more", "last"): 22,
        ("rule", 2): 23,
        ("rule", 2, "role"): 24,
        ("rule", 2, "part"): 25,
        ("rule", 2, "part", 0): 25,
        ("rule", 2, "part", 0, "x"): 26,
        ("rule", 2, "part", 1): 27,
        ("rule", 2, "part", 1, "x"): 28,
        ("other",): 29,
        ("other", "ab"): 30,
    }


@pytest.mark.parametrize(
    ("path", "line"), [(("rule", 1, "expires"), 6), (("rule", 0, "role", 3), 4), (("nothing",), 1), ((), 1)]
)
def test_what_has_no_line_has_that_of_what_is_around_it(path: KeyPath, line: int) -> None:
    assert line_of(lines_of(DOCUMENT), path) == line


TRAPS = st.lists(
    st.sampled_from(["[[rule]]", "\n", "role = 1", '"', "'", "#", "]", "[", "{", "=", "\\\\", '\\"', " ", "é"]),
    max_size=8,
).map("".join)


def written(trap: str, kind: str) -> str | None:
    """Return a value that holds the trap, or None where this kind of string cannot."""
    text = {
        "basic": lambda: '"' + trap.replace("\n", "\\n") + '"',
        "literal": lambda: f"'{trap}'",
        "long": lambda: f'"""{trap}"""',
        "long literal": lambda: f"'''{trap}'''",
        "list": lambda: f"[ # {trap.splitlines()[0] if trap else ''}\n '''\n{trap}''', ]",
    }[kind]()
    try:
        return text if list(tomllib.loads(f"x = {text}\n")) == ["x"] else None
    except tomllib.TOMLDecodeError:
        return None


VALUE = st.tuples(TRAPS, st.sampled_from(["basic", "literal", "long", "long literal", "list"])).map(
    lambda both: written(*both)
)
LINE = st.tuples(
    st.sampled_from(["rule", "exclusive", "key", "comment", "blank"]), VALUE, st.sampled_from(["\n", "\r\n"])
)


@given(st.lists(LINE, max_size=12))
def test_no_string_fools_it(parts: list[tuple[str, str | None, str]]) -> None:
    text = ""
    expected: dict[KeyPath, int] = {}
    counts = {"rule": 0, "exclusive": 0}
    table: KeyPath = ()
    for number, (what, value, ending) in enumerate(parts):
        line = text.count("\n") + 1
        if what in counts:
            table = (what, counts[what])
            counts[what] += 1
            expected[table] = line
            text += f"[[{what}]]{ending}"
        elif what == "key" and value is not None:
            expected[*table, f"k{number}"] = line
            text += f"k{number} = {value}{ending}"
        else:
            text += ("# [[rule]] \"\"\" '''" if what == "comment" else "  ") + ending
    document: dict[str, Any] = tomllib.loads(text)
    assert {name: len(document.get(name, [])) for name in counts} == counts
    found = lines_of(text)
    assert {path: found.get(path) for path in expected} == expected
    assert set(found) - set(expected) <= {("rule",), ("exclusive",)}
