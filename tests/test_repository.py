"""Facts that stand in two files of the repository agree, and nothing of the machine it was written on is in it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pingone_mcp.service.guides import GUIDES
from pingone_mcp.settings import ServeSettings, Settings
from tests.process.programs import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
EXTRAS: dict[str, list[Requirement]] = {
    extra: [Requirement(line) for line in lines]
    for extra, lines in PYPROJECT["project"]["optional-dependencies"].items()
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def files() -> list[str]:
    """List what is in version control, or would be with the next `git add`."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    return [name for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file()]


# --- Dependencies


def development() -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in text_of("requirements-dev.in").splitlines())
    return [Requirement(line) for line in lines if line]


def locked() -> dict[str, str]:
    pins = re.findall(r"^([a-z0-9.-]+)==(\S+)", text_of("requirements-dev.txt"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize(
    "requirement", [*RUNTIME, *chain(*EXTRAS.values()), *development()], ids=lambda requirement: requirement.name
)
def test_the_lock_file_pins_a_version_that_is_asked_for(requirement: Requirement) -> None:
    assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)])


def test_the_lock_file_names_packages_and_hashes_but_no_place_to_get_them_from() -> None:
    pin = re.compile(r"[a-z0-9.-]+==[^\s;]+( ; [^\\]+)? \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    origin = re.compile(r"\s*#( {3,}| via )[\w, .()-]+")
    lines = text_of("requirements-dev.txt").splitlines()[2:]
    assert [line for line in lines if not (pin.fullmatch(line) or digest.fullmatch(line) or origin.match(line))] == []
    assert "://" not in "\n".join(lines)


# The first versions without a known hole, by advisory: what is let in must not be older (pyproject.toml names them).
SAFE = {
    "anyio": "4.14.2",
    "cryptography": "48.0.1",
    "filelock": "3.20.3",
    "PyJWT": "2.12.0",
    "pydantic-settings": "2.14.2",
    "starlette": "1.3.1",
}


@pytest.mark.parametrize("name", SAFE)
def test_no_version_is_let_in_that_has_a_known_hole(name: str) -> None:
    (requirement,) = [one for one in chain(RUNTIME, *EXTRAS.values()) if one.name == name]
    floors = [Version(one.version) for one in requirement.specifier if one.operator == ">="]
    assert floors >= [Version(SAFE[name])]
    assert re.search(rf'"{name}(?:\[\w+\])?>=[\d.]+(?:,<\d+)?",  # (?:CVE|GHSA)-', text_of("pyproject.toml"))


def test_there_is_one_lock_file(files: list[str]) -> None:
    others = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "requirements.txt"}
    assert others.isdisjoint(files)


def test_every_runtime_dependency_has_its_reason_in_the_readme() -> None:
    section = text_of("README.md").partition("\n## What it is built from\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in section.splitlines() if "|" in line
    ]
    reasons = {name[1]: row[1:] for row in rows if (name := re.match(r"`([\w.-]+)`", row[0]))}
    extras = {requirement.name: f"`{extra}`" for extra, brought in EXTRAS.items() for requirement in brought}
    assert sorted(reasons) == sorted([*extras, *(requirement.name for requirement in RUNTIME)])
    assert {name: row[0] for name, row in reasons.items() if len(row) == 2} == extras
    assert [name for name, row in reasons.items() if len(row[-1].split()) < 3] == []


# --- Exceptions to rules


def test_every_lint_exception_in_pyproject_has_a_reason() -> None:
    section = text_of("pyproject.toml").partition("[tool.ruff.lint]\n")[2].partition("[tool.mypy]\n")[0]
    exceptions = [line for line in section.splitlines() if re.match(r'\s+"[A-Z]+[0-9]*"', line)]
    configured = PYPROJECT["tool"]["ruff"]["lint"]
    per_file = configured["per-file-ignores"].values()
    assert len(exceptions) == len(configured["ignore"]) + sum(map(len, per_file)), "one exception per line"
    assert [line for line in exceptions if not re.search(r"# +\S+ \S+", line)] == []


def test_every_suppression_in_the_code_has_its_reason(files: list[str]) -> None:
    """Accept a reason after it, in a comment right above, or once per file for the same rule."""
    suppression = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma)\b:?[ \[]*([\w-]*)")
    bare: list[str] = []
    for name in files:
        if not name.endswith(".py") or ROOT / name == Path(__file__):
            continue
        reasoned: set[str] = set()
        unreasoned: list[tuple[str, str]] = []
        above = ""
        for number, line in enumerate(text_of(name).splitlines(), 1):
            if found := list(suppression.finditer(line)):
                rules = [match[1] for match in found]
                if above.strip().startswith("#") or re.search(r"[-#:] *\w\S* \w", line[found[-1].end() :]):
                    reasoned.update(rules)
                else:
                    unreasoned += [(rule, f"{name}:{number}: {line.strip()}") for rule in rules]
            above = line
        bare += [where for rule, where in unreasoned if rule not in reasoned]
    assert bare == []


# --- The package


def test_all_work_in_threads_is_in_pools_of_our_own(files: list[str]) -> None:
    """Anyio's own is full of the SDK's reading and writing, and a full one is a server that hears nothing."""
    elsewhere = re.compile(r"to_thread|run_in_executor|ThreadPoolExecutor|anyio\.Path\b|anyio\.open_file")
    package = [name for name in files if name.startswith("pingone_mcp/") and name.endswith(".py")]
    assert "pingone_mcp/tasks.py" in package
    assert [name for name in package if elsewhere.search(text_of(name))] == ["pingone_mcp/tasks.py"]


# --- Commands


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", text_of("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", ".pre-commit-config.yaml", ".ci/run"])
def test_documents_name_only_make_targets_that_exist(document: str) -> None:
    named = set(re.findall(r"(?:`|^ *(?:\$ |- |entry: )?)make ([a-z]+)", text_of(document), re.MULTILINE))
    assert named, "a document listed here names at least one"
    assert named <= make_targets()


def test_make_lists_its_targets_when_it_is_called_alone() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    assert set(re.findall(r"^  make (\w+)", shown, re.MULTILINE)) == make_targets()


def test_the_workflow_runs_what_a_person_runs_on_every_python_that_is_promised() -> None:
    jobs = yaml.safe_load(text_of(".github/workflows/ci.yml"))["jobs"]
    commands = [step["run"] for step in jobs["test"]["steps"] if "run" in step]
    assert commands == [".ci/run"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PYPROJECT["project"]["classifiers"]))
    assert jobs["test"]["strategy"]["matrix"]["python"] == promised


def test_the_workflows_use_no_action_that_could_become_another_one(files: list[str]) -> None:
    """A tag can be moved; a commit cannot. The version beside it is for people."""
    uses = [
        f"{name}: {line.strip()}"
        for name in files
        if name.startswith(".github/") and name.endswith((".yml", ".yaml"))
        for line in text_of(name).splitlines()
        if re.match(r"\s*(?:- )?uses:", line)
    ]
    pinned = re.compile(r".*uses: [\w-]+/[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")
    assert len(uses) >= 4
    assert [line for line in uses if not pinned.fullmatch(line)] == []


def test_what_compiles_the_lock_file_is_in_it() -> None:
    assert "uv" in locked()
    recipe = re.search(r"^lock:.*\n((?:\t.*\n)+)", text_of("Makefile"), re.MULTILINE)
    assert recipe is not None
    assert "pip install" not in recipe[1]


def test_everything_that_make_installs_is_hashed() -> None:
    installs = re.findall(r"pip install.*", text_of("Makefile"))
    assert installs
    assert [
        line for line in installs if not re.search(r"--require-hashes|--no-deps --no-build-isolation -e \.", line)
    ] == []


def test_the_workflow_may_only_read() -> None:
    assert yaml.safe_load(text_of(".github/workflows/ci.yml"))["permissions"] == {"contents": "read"}


# --- Settings


def test_the_example_of_settings_names_and_describes_each_one() -> None:
    example = text_of(".env.example")
    named = re.findall(r"^(?:# )?(PINGONE_\w+)=", example, re.MULTILINE)
    fields = Settings.model_fields | ServeSettings.model_fields
    assert sorted(named) == sorted(f"PINGONE_{name.upper()}" for name in fields)
    flat = re.sub(r"\s*\n# ", " ", example)
    assert [name for name, field in fields.items() if (field.description or "?") not in flat] == []


def test_the_example_of_settings_asks_for_the_required_ones_only() -> None:
    asked = re.findall(r"^(PINGONE_\w+)=(.*)$", text_of(".env.example"), re.MULTILINE)
    assert asked == [("PINGONE_ENVIRONMENT_ID", ""), ("PINGONE_CLIENT_ID", ""), ("PINGONE_CLIENT_SECRET", "")]


# --- What is shipped


@pytest.mark.slow
def test_the_wheel_carries_the_package_its_prompts_and_guides_and_nothing_else(
    files: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)
    (wheel,) = tmp_path.glob("*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {name for name in files if name.startswith("pingone_mcp/")}
    prompts = {f"pingone_mcp/{name}" for name in files if name.startswith("prompts/")}
    guides = {f"pingone_mcp/docs/{name}.md" for name in GUIDES}
    manual = {name for name in shipped if name.endswith(".data/data/share/man/man1/pingone-mcp.1")}
    assert len(manual) == 1
    assert shipped == package | prompts | guides | manual
    assert "pingone_mcp/py.typed" in shipped


def test_no_file_tells_where_it_was_written(files: list[str]) -> None:
    place = re.compile(
        r"(?<![\w.~}/-])/(?:root|home|work|Users|opt)/"
        r"|--(?:extra-)?index-url\b|--find-links\b|files\.pythonhosted|pypi\.org/simple|registry\.npmjs"
    )
    told = [
        f"{name}:{number}: {line.strip()[:160]}"
        for name in files
        if ROOT / name != Path(__file__)
        for number, line in enumerate((ROOT / name).read_bytes().decode(errors="replace").splitlines(), 1)
        if place.search(line)
    ]
    assert told == []


# --- What a newcomer sees

PACKAGE = ROOT / "pingone_mcp"
MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    """Parse every module of the package."""
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def test_no_name_of_a_class_stands_twice(trees: dict[str, ast.Module]) -> None:
    """Two things of one name are taken for one; what a module keeps to itself may be called as it likes."""
    where: dict[str, list[str]] = {}
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


# A name that a sentence gives to any file at all.
_MADE_UP = frozenset({"tests/test_x.py"})


def test_files_and_folders_that_are_named_are_there(files: list[str]) -> None:
    """A file that was moved goes on living in sentences: those of documents, and of every docstring."""
    named = re.compile(r"(?<![\w/.:<{*-])(?:(?:[\w.-]+/)*[\w-]+\.(?:py|md)|(?:[a-z_]+/)+(?=[`\s|]))(?![\w(])")
    there = {f"/{name}" for name in files} | {f"/{folder}/" for name in files for folder in Path(name).parents}
    texts = {name: [text_of(name)] for name in files if name.endswith(".md") and not name.startswith("CHANGELOG")}
    texts |= {name: _docstrings(text_of(name)) for name in files if name.endswith(".py")}
    assert {
        f"{name}: {found}"
        for name, said in texts.items()
        for found in named.findall("\n".join(said))
        if found not in _MADE_UP and not any(path.endswith(f"/{found}") for path in there)
    } == set()


def _docstrings(source: str) -> list[str]:
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [ast.get_docstring(one) or "" for one in ast.walk(ast.parse(source)) if isinstance(one, described)]


MOST_FILES = 14
# What holds more, and why.
LARGE_FOLDERS = {
    ".": "what all floors stand on, and the doors of the process: a file each",
}


def test_a_folder_is_seen_at_a_glance() -> None:
    counts: dict[str, int] = {}
    for path in MODULES:
        if path.name != "__init__.py":
            folder = path.parent.relative_to(PACKAGE).as_posix()
            counts[folder] = counts.get(folder, 0) + 1
    assert {folder for folder, count in counts.items() if count > MOST_FILES} == LARGE_FOLDERS.keys()


def test_the_tree_of_contributing_names_every_folder() -> None:
    [tree] = re.findall(r"^```\n(cli\.py .*?)^```$", text_of("CONTRIBUTING.md"), re.MULTILINE | re.DOTALL)
    said = {part.split("/")[0]: part for part in re.split(r"^(?=\S)", tree, flags=re.MULTILINE)}
    folders = {path.parent.relative_to(PACKAGE) for path in MODULES} - {Path()}
    assert {
        folder.as_posix()
        for folder in folders
        if re.search(rf"(?<![\w/]){folder.name}/", said.get(folder.parts[0], "")) is None
    } == set()


BELOW_PROVIDERS = frozenset({"directory", "http", "replica", "reports", "service"})
# PingOne's own name as a value, and how it writes the names of members: there is none of it below.
_VALUES = re.compile(r"_embedded|_links|[a-z]+[A-Z][A-Za-z]*|pingone", re.ASCII)
_NAMES = re.compile(r"(?!pingone_mcp).*pingone.*", re.IGNORECASE)


def test_no_code_below_the_providers_knows_one(trees: dict[str, ast.Module]) -> None:
    """Sentences may name it; what is decided is decided by facts that every provider gives."""
    below = {module: tree for module, tree in trees.items() if module.partition("/")[0] in BELOW_PROVIDERS}
    assert {
        f"{module}: {word}"
        for module, tree in below.items()
        for node in ast.walk(tree)
        for name, odd in (("value", _VALUES), ("id", _NAMES), ("attr", _NAMES), ("arg", _NAMES), ("name", _NAMES))
        if isinstance(word := getattr(node, name, None), str) and (odd.fullmatch(word) or word == "PingOne")
    } == set()


# The words of those who wrote it, which tell a reader nothing.
IDIOM = frozenset({"told", "standing"})


def test_no_name_is_of_the_private_idiom(trees: dict[str, ast.Module]) -> None:
    assert {
        module
        for module, tree in trees.items()
        for node in ast.walk(tree)
        for attribute in ("id", "attr", "arg", "name")
        if getattr(node, attribute, None) in IDIOM
    } == set()
