"""The README says what the code does: its tables are written from the code, and checked against it.

After a change: `make generated` writes the tables anew.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.cli import VERBS
from pingone_mcp.mcp_clients import ClientName, launch, snippet
from pingone_mcp.server.build import tools_for_models
from pingone_mcp.settings import ServeSettings, Settings
from tests.process.programs import bare, run

README = Path(__file__).resolve().parents[1] / "README.md"


def settings_table(kind: type[Settings | ServeSettings] = Settings) -> list[str]:
    lines = ["| variable | meaning | default |", "|---|---|---|"]
    for name, field in kind.model_fields.items():
        default = SAID.get(name) or _default(field.default)
        lines.append(f"| `PINGONE_{name.upper()}` | {field.description} | {default} |")
    return lines


def tools_table() -> list[str]:
    lines = ["| tool | what it does |", "|---|---|"]
    for tool in tools_for_models():
        first = re.split(r"(?<=[a-z])[.:] ", tool.description, maxsplit=1)[0].rstrip(".")
        lines.append(f"| `{tool.name}` | {first}. |")
    return lines


SAID = {
    "environment_id": "required",
    "client_id": "required",
    "client_secret": "required",
    "environments": "the one above",
    "populations": "all",
    "api_url": "by region",
    "auth_url": "by region",
    "custom_domain": "none",
    "requests_per_second": "none",
    "sync_minutes": "no syncs in the background",
    "rosters": "none",
    "roles_file": "none",
    "audit_file": "`writes.jsonl` in the platform's user state folder",
    "cache_dir": "the platform's user cache folder",
    "attributes": "the attributes of the same names",
    "public_url": "`http://HOST:PORT` on loopback",
    "state_dir": "the platform's user state folder",
    "database_url": "SQLite in the state folder",
    "key_file": "made in the state folder",
    "oauth_issuer": "none",
    "oauth_audience": "the URL of the endpoint",
    "oauth_connections_claim": "none",
    "allowed_origins": "none",
    "webhook_hosts": "none",
    "tls_cert": "none",
    "tls_key": "none",
}


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


# What README shows of the demo: its questions.
SHOWN = ("What has changed in the last hour?", "Whose account in the travel application should not be there?")


@functools.cache
def demo() -> str:
    """Return what `make demo` prints into a pipe."""
    with tempfile.TemporaryDirectory() as home:
        told = run("demo", env=bare(Path(home)))
    assert (told.status, told.err) == (0, "")
    return told.out


def excerpt() -> list[str]:
    """Return what the demo shows for some of its questions, whole."""
    parts = {part.splitlines()[0]: part for part in demo().split("\n\n") if part}
    return ["```text", *"\n\n".join(parts[question] for question in SHOWN).splitlines(), "```"]


TABLES = {
    "settings": settings_table,
    "serving": lambda: settings_table(ServeSettings),
    "tools": tools_table,
    "demo": excerpt,
}


def files() -> dict[Path, str | None]:
    """Return the README with the tables that the code says."""
    text = README.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        block = "\n".join([f"<!-- {name} -->", *table(), f"<!-- /{name} -->"])
        before, opened, rest = text.partition(f"<!-- {name} -->")
        _, closed, after = rest.partition(f"<!-- /{name} -->")
        assert opened, f"README.md has no place for the table of {name}"
        assert closed, f"README.md does not say where the table of {name} ends"
        text = before + block + after
    return {README: text}


def readme(pattern: str) -> str:
    """Return what README says at a place, which there is once."""
    (found,) = re.findall(pattern, README.read_text(encoding="utf-8"))
    return str(found)


# --- What it says of the demo, and what the demo says


def test_the_demo_has_the_figures_of_the_readme() -> None:
    words = " ".join(demo().split())
    assert readme(r"The demo asks (\d+) questions") == str(len(re.findall(r"^  → ", demo(), re.MULTILINE)))
    assert re.findall(r"It finds (\d+) tools", words) == [str(len(tools_table()) - 2)]
    (hundred,) = re.findall(r"→ list_users limit=100 \(.*?, answer of about ([\d,]+) tokens\)", words)
    assert readme(r"100 rows of `list_users` about ([\d,]+)") == hundred
    for most, found in (
        (readme(r"definitions together are at most ([\d,]+) tokens"), r"about ([\d,]+) tokens of definitions"),
        (readme(r"one whole user at most ([\d,]+)"), r"→ get_user [^(]*\(.*?, answer of about ([\d,]+) tokens\)"),
    ):
        (number,) = re.findall(found, words)
        assert _number(number) <= _number(most)


def _number(text: str) -> int:
    return int(text.replace(",", ""))


# --- What it shows to type

COMMAND = re.compile(r"^ *\$ (.*)$", re.MULTILINE)
# What stands in a sentence and begins with a program.
SPOKEN = re.compile(r"`((?:make|pingone-mcp|pipx|uvx?|pip|docker|claude|python) [^`]*)`")


def commands() -> Iterator[list[str]]:
    text = re.sub(r"(?<=\S)\n(?=\S)", " ", README.read_text(encoding="utf-8").replace("```", "\n"))
    for line in (*COMMAND.findall(README.read_text(encoding="utf-8")), *SPOKEN.findall(text)):
        yield shlex.split(line, comments=True)


def test_no_command_is_shown_that_cannot_work_today() -> None:
    """The package is not published: whatever installs it is given a checkout or a wheel."""
    shown = list(commands())
    assert len(shown) > 20
    for words in shown:
        assert " ".join(words) == " ".join(words).strip()
        match words:
            case ["make", target, *_]:
                assert target in _targets(), words
            case ["pingone-mcp", *rest]:
                verbs = [word for word in rest if word in VERBS]
                assert verbs or rest[0].startswith("--"), words
            case ["pipx" | "pip", "install", *packages] | ["uv", "tool", "install", *packages]:
                assert all(map(_is_a_place, (word for word in packages if not word.startswith("--")))), words
            case ["uvx", "--from", package, "pingone-mcp", *_]:
                assert _is_a_place(package), words
            case (
                ["uv", "tool", "install"]
                | ["claude", "mcp", "add", *_]
                | ["docker", "build", *_]
                | ["python", "-m", *_]
            ):
                pass
            case ["chmod", "600", "my.env"] | ["echo", "PINGONE_SANDBOX=1", *_] | ["curl", "-H", *_]:
                pass
            case _:
                pytest.fail(f"nobody has said that this works: {words}")


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", README.with_name("Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def _is_a_place(package: str) -> bool:
    """Say whether something is a checkout or a wheel, not a name to look up."""
    return package in (".", "dist/*.whl") or package.startswith("/path/to/")


# --- What it shows of clients


def documents() -> list[Any]:
    return [
        json.loads(block)
        for block in re.findall(r"^```json\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]


VALUES = {"environment_id": "…", "client_id": "…", "client_secret": "…"}
CLIENT_SNIPPETS: list[tuple[ClientName, Path | None, dict[str, str]]] = [
    ("claude-desktop", None, {**VALUES, "region": "EU"}),
    ("vscode", None, VALUES),
    ("cursor", Path("/path/to/my.env"), {}),
]


def test_every_snippet_of_a_client_is_what_the_program_prints() -> None:
    printed = [
        json.loads(
            snippet(client, launch(("/path/to/pingone-mcp",), file, values), "linux").replace("YOUR_CLIENT_SECRET", "…")
        )
        for client, file, values in CLIENT_SNIPPETS
    ]
    assert documents() == printed


def test_the_command_for_claude_code_is_what_the_program_prints() -> None:
    (shown,) = (words for words in commands() if words[0] == "claude" and "http" not in words)
    how = launch(("/path/to/pingone-mcp",), Path("/path/to/my.env"), {})
    assert shlex.join(shown) == snippet("claude-code", how, "linux")


def test_the_arguments_for_a_container_start_it_as_its_dockerfile_means_it() -> None:
    (shown,) = re.findall(r"`(\[\"run\".*\])`", README.read_text(encoding="utf-8"))
    arguments = json.loads(shown)
    tag = arguments[-1]
    assert f"docker build --tag {tag} ." in README.read_text(encoding="utf-8")
    assert {"--rm", "--interactive", "--read-only", "--env-file", "--volume"} <= set(arguments)
    assert arguments[arguments.index("--volume") + 1].endswith(":/data")
    assert f"docker run {' '.join(arguments[1:])}".replace("/path/to/", "") in README.with_name("Dockerfile").read_text(
        "utf-8"
    )
