"""Advice names settings, and each face spells them: no mark leaves unspelled, and no name in a directory is one."""

from __future__ import annotations

import ast
import io
import logging
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp import errors
from pingone_mcp.advice import setting, spelled, variable
from pingone_mcp.directory.text.harmless import clean, harmless
from pingone_mcp.errors import Problem
from pingone_mcp.logs import log_harmlessly
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.settings import ServeSettings, Settings
from pingone_mcp.wiring import settings_of

PACKAGE = Path(__file__).resolve().parents[1] / "pingone_mcp"
NAMES = sorted({*Settings.model_fields, *ServeSettings.model_fields})
PROBLEMS = [
    kind
    for kind in vars(errors).values()
    # One that has words of its own is given none.
    if isinstance(kind, type) and issubclass(kind, Problem) and kind.__init__ is Problem.__init__
]
values = st.none() | st.text(st.characters(exclude_categories=["C"]))
settings = st.tuples(st.sampled_from(NAMES), values)


def field(name: str, value: str | None) -> str:
    """Spell a setting as a page would, that knows fields by their labels."""
    label = f"“{name.replace('_', ' ')}”"
    return label if value is None else f"{value} in {label}"


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_spelled_as_the_variable_that_holds_it(name: str) -> None:
    assert spelled(f"Check {setting(name)}.") == f"Check PINGONE_{name.upper()}."
    assert spelled(f"Set {setting(name, '1')}.") == f"Set PINGONE_{name.upper()}=1."


@given(st.lists(settings), st.sampled_from(PROBLEMS))
def test_whoever_reads_a_problem_reads_no_mark(named: list[tuple[str, str | None]], kind: type[Problem]) -> None:
    marks = ", ".join(setting(*one) for one in named)
    problem = kind(f"Wrong: {marks}.", f"Check {marks}.", code="CODE")
    plain, others = (", ".join(spelling(*one) for one in named) for spelling in (variable, field))
    assert str(problem) == f"Wrong: {plain}. Check {plain}. [CODE]"
    assert problem.text(field) == f"Wrong: {others}. Check {others}. [CODE]"
    assert spelled(problem.text(setting), field) == problem.text(field), "it can be spelled later as well"


@given(st.text() | settings.map(lambda one: setting(*one)))
def test_no_text_of_a_directory_is_taken_for_a_mark(text: str) -> None:
    assert spelled(harmless(text), field) == harmless(text)
    assert spelled(clean({"name": text})["name"], field) == clean({"name": text})["name"]


def test_a_log_line_and_a_traceback_name_variables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    log_harmlessly()
    problem = Problem("No room.", f"See to {setting('cache_dir')}.")
    logging.getLogger("test").error("It ended; %s", setting("page_size", "1"), exc_info=problem)
    written = capsys.readouterr().err
    assert "It ended; PINGONE_PAGE_SIZE=1\n" in written
    assert "No room. See to PINGONE_CACHE_DIR.\n" in written


# --- What the code says

# Where the environment is read, or its variables are what the text is about.
VARIABLES = {
    "advice.py",
    "cli.py",  # help of the command line
    "first_answers.py",  # reads two of them before anything else is loaded
    "replica/queries/processes.py",  # keeps all of them from a process that needs none
    "settings/other_names.py",  # those of Ping's own tools
    "settings/parts.py",  # descriptions of the README's table
}


def modules() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")


def test_advice_names_no_variable() -> None:
    naming = {
        name
        for name, text in modules()
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.STRING and not token.string.endswith('"""') and "PINGONE_" in token.string
    }
    assert naming == VARIABLES


def test_advice_names_settings_that_there_are() -> None:
    calls = [
        (name, node.args[0])
        for name, text in modules()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("setting", "variable")
    ]
    named = {(name, argument.value) for name, argument in calls if isinstance(argument, ast.Constant)}
    assert len(named) > 40
    assert {(name, one) for name, one in named if one not in NAMES} == set()
    assert {name for name, argument in calls if not isinstance(argument, ast.Constant)} <= {
        "settings/__init__.py",  # those that are wrong
        "settings/linked.py",  # the same
        "settings/template.py",  # all of them
        "mcp_clients.py",  # those that a client is to set
        "commands/setting_up/client_config.py",  # these too
        "settings/variables.py",  # all that there are
        "commands/sandbox.py",  # those of `settings_of`
        "demo/verb.py",  # these too
        "first_answers.py",  # one that it is asked for
    }
    assert set(settings_of(Sandbox(size=1), "http://127.0.0.1")) <= set(NAMES)
