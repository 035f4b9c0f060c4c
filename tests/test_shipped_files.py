"""Who has only what is installed can have all that a message names: no file of the repository is named there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pingone_mcp.cli import VERBS
from pingone_mcp.service.guides import GUIDES
from pingone_mcp.shipped_files import shipped_folder

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pingone_mcp"
ABOVE = [path for path in (*ROOT.glob("*"), *ROOT.glob("*/*")) if path.is_file() and PACKAGE not in path.parents]
# As they are named in a sentence: a file by its name or its path, another folder by its path.
NAMES = {name for path in ABOVE for name in (path.name, path.relative_to(ROOT).as_posix()) if "." in name}
TARGETS = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def sentences() -> Iterator[tuple[str, str]]:
    """Give every text of the package with a space in it that is no docstring, and the prompts; each with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
            if isinstance(text, str) and " " in text.strip():
                yield f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}", text
    for path in sorted((ROOT / "prompts").glob("*.md")):
        yield path.name, path.read_text(encoding="utf-8")


def test_no_message_names_a_file_that_an_installed_person_does_not_have() -> None:
    assert {"README.md", ".env.example", "docs/roles.md", "Makefile"} - NAMES == {"Makefile"}
    named = re.compile(r"(?<![\w/.-])(?:[\w.-]+/)*\.?[\w-]+\.[a-z]+\b|\bMakefile\b")
    assert [f"{place}: {name}" for place, text in sentences() for name in named.findall(text) if name in NAMES] == []


def test_no_message_advises_what_only_a_checkout_can_do() -> None:
    advised = re.compile(rf"\bmake (?:{'|'.join(TARGETS)})\b|python -m (?:tests|benchmarks|shipping)")
    assert [place for place, text in sentences() if advised.search(text)] == []


def test_every_command_that_a_message_advises_exists() -> None:
    advised = re.compile(r"pingone-mcp (?:--env-file my\.env )?(?!-)([a-z][a-z-]*)(?: ([a-z]+))?(?=[\s`.,;)]|$)")
    found = [(place, *match.groups()) for place, text in sentences() for match in advised.finditer(text)]
    spoken = {
        "is",
        "serves",
        "waits",
        "was",
        "itself",
        "needs",
        "over",
        "cursor",
        "than",
    }  # in sentences, or in a name of a key
    assert [(place, verb) for place, verb, _ in found if verb not in VERBS and verb not in spoken] == []
    guides = {name for _, verb, name in found if verb == "guide"}
    assert {"settings", "roles", "rosters"} <= guides <= {"settings", *GUIDES}


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_leads_to_guides_only(name: str) -> None:
    text = (shipped_folder("docs") / f"{name}.md").read_text("utf-8")
    assert set(re.findall(r"\]\(([^)#]+)\)", text)) <= {f"{other}.md" for other in GUIDES}
    assert not re.search(r"`(?:tests|benchmarks|docs)/|README", text)
