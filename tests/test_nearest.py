"""What was meant by a mistyped name: one way to find it for everything that is given by name."""

from __future__ import annotations

import ast

import pytest

from pingone_mcp.nearest import did_you_mean, nearest
from tests.process.programs import ROOT

TOOLS = ("list_users", "get_user", "list_groups", "Région", "c", "C")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("list_user", ["list_users", "get_user"]),
        ("LIST_USERS", ["list_users", "list_groups"]),
        ("cc", ["c", "C"]),
        ("CC", ["C", "c"]),
        ("région", ["Région"]),
        ("", []),
        ("frobnicate", []),
        ("list_users" * 1_000_000, []),
    ],
)
def test_the_nearest_come_first_and_case_counts_only_between_those_that_differ_in_nothing_else(
    word: str, meant: list[str]
) -> None:
    assert nearest(word, TOOLS) == meant


def test_a_long_name_is_found_though_only_its_beginning_is_compared() -> None:
    assert nearest("a" * 70, ["a" * 71]) == ["a" * 71]


def test_a_question_names_the_nearest_or_nothing() -> None:
    assert did_you_mean("list_user", TOOLS) == "Did you mean list_users or get_user?"
    assert did_you_mean("list_user", TOOLS, most=1) == "Did you mean list_users?"
    assert did_you_mean("frobnicate", TOOLS) == ""


def test_nobody_else_compares_names() -> None:
    importing = {
        path.name
        for path in (ROOT / "pingone_mcp").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(one.name == "difflib" for one in node.names)
    }
    assert importing == {"nearest.py"}
