"""What a client is given starts this program, and a link that installs it holds the same."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from pingone_mcp.errors import Refused
from pingone_mcp.mcp_clients import CLIENTS, ClientName, Launch, System, install_link, launch, place, snippet

PROGRAM = ("/srv/my tools/bin/pingone-mcp",)
FILE = PurePosixPath("/etc/pingone/größe.env")
WAYS = {
    "a file": launch(PROGRAM, FILE, {}),
    "values": launch(PROGRAM, None, {"environment_id": "e", "client_id": "c", "client_secret": "hush", "region": "EU"}),
    "the sandbox": launch((*PROGRAM, "-m", "x"), None, {"sandbox": "1"}),
    "nothing": launch(PROGRAM, None, {}),
}
SYSTEMS: tuple[System, ...] = ("linux", "darwin", "win32")
LINKED: tuple[ClientName, ...] = ("vscode", "vscode-insiders", "cursor")
every_way = pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)


def entry(client: ClientName, how: Launch, system: System = "linux") -> dict[str, Any]:
    """Return the command, arguments and variables that a client reads from its snippet."""
    text = snippet(client, how, system)
    if client == "claude-code":
        return added(shlex.split(text))
    document = json.loads(text)
    (servers,) = (value for name, value in document.items() if name != "inputs")
    assert list(servers) == ["pingone"]
    found: dict[str, Any] = servers["pingone"]
    return {"command": found["command"], "args": found.get("args", []), "env": found.get("env", {})}


def added(words: list[str]) -> dict[str, Any]:
    """Read `claude mcp add` as Claude Code does: --env takes every word up to the next option."""
    assert words[:3] == ["claude", "mcp", "add"]
    split = words.index("--")
    options, program = words[3:split], words[split + 1 :]
    env: dict[str, str] = {}
    while options[0] == "--env":
        del options[0]
        while not options[0].startswith("--"):
            name, _, value = options.pop(0).partition("=")
            env[name] = value
    assert options == ["--transport", "stdio", "pingone"]
    return {"command": program[0], "args": program[1:], "env": env}


@every_way
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_starts_the_program_by_its_whole_path(client: ClientName, how: Launch) -> None:
    found = entry(client, how)
    assert (found["command"], *found["args"]) == how.program
    assert found["command"].startswith("/")
    assert {f"PINGONE_{name.upper()}" for name in how.settings} <= set(found["env"])


@every_way
@pytest.mark.parametrize("client", CLIENTS)
def test_the_secret_is_asked_for_and_never_there(client: ClientName, how: Launch) -> None:
    texts = [snippet(client, how, system) for system in SYSTEMS]
    texts += [install_link(client, how)] if client in LINKED else []
    assert "hush" not in "".join(map(unquote, texts))
    assert "hush" not in repr(how)
    asked = entry(client, how)["env"].get("PINGONE_CLIENT_SECRET")
    if not how.asks:
        assert asked is None
    elif client.startswith("vscode"):
        inputs = {one["id"]: one for one in json.loads(texts[0])["inputs"]}
        assert inputs[asked.removeprefix("${input:").removesuffix("}")]["password"] is True
    else:
        assert asked == "YOUR_CLIENT_SECRET"


@every_way
@pytest.mark.parametrize("client", ["vscode", "vscode-insiders"])
def test_a_link_of_vs_code_holds_what_its_file_would(client: ClientName, how: Launch) -> None:
    # VS Code: JSON.parse(decodeURIComponent(query)), from which it takes name and inputs; the rest is the server.
    scheme, _, query = install_link(client, how).partition(":mcp/install?")
    assert scheme == client
    assert not set(query) & set(' "{}&#+')
    held = json.loads(unquote(query))
    document = {"servers": {held.pop("name"): held}}
    if inputs := held.pop("inputs", None):
        document = {"inputs": inputs, **document}
    assert document == json.loads(snippet(client, how, "linux"))


@every_way
def test_a_link_of_cursor_holds_what_its_file_would(how: Launch) -> None:
    link = urlsplit(install_link("cursor", how))
    assert (link.scheme, link.netloc, link.path) == ("cursor", "anysphere.cursor-deeplink", "/mcp/install")
    held = parse_qs(link.query, strict_parsing=True)
    (name,), (config,) = held["name"], held["config"]
    servers = {name: json.loads(base64.b64decode(config, validate=True))}
    assert {"mcpServers": servers} == json.loads(snippet("cursor", how, "linux"))


@pytest.mark.parametrize("client", sorted(set(CLIENTS) - set(LINKED)))
def test_a_client_without_links_says_so(client: ClientName) -> None:
    with pytest.raises(Refused, match=r"no links.*vscode, vscode-insiders, cursor"):
        install_link(client, WAYS["a file"])


def test_on_windows_the_command_is_quoted_as_windows_reads_it() -> None:
    how = launch(("C:\\Program Files\\pingone\\pingone-mcp.exe",), None, {"sandbox": "1"})
    text = snippet("claude-code", how, "win32")
    assert text.endswith('-- "C:\\Program Files\\pingone\\pingone-mcp.exe"')
    assert text == subprocess.list2cmdline(shlex.split(snippet("claude-code", how, "linux")))
    assert json.loads(snippet("cursor", how, "win32"))["mcpServers"]["pingone"]["command"] == how.program[0]


@pytest.mark.parametrize(
    ("client", "system", "file"),
    [
        ("claude-desktop", "darwin", "~/Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", "%APPDATA%\\Claude\\claude_desktop_config.json"),
        ("claude-desktop", "linux", "~/.config/Claude/claude_desktop_config.json"),
        ("vscode", "darwin", "~/Library/Application Support/Code/User/mcp.json"),
        ("vscode-insiders", "linux", "~/.config/Code - Insiders/User/mcp.json"),
        ("cursor", "win32", "%USERPROFILE%\\.cursor\\mcp.json"),
        ("cursor", "linux", "~/.cursor/mcp.json"),
        ("claude-code", "linux", "Run this command"),
    ],
)
def test_where_it_goes_is_said_for_each_system(client: ClientName, system: System, file: str) -> None:
    assert file in place(client, system)


def test_a_linked_connection_is_named_and_no_secret_of_where_it_is_kept_is_shown() -> None:
    settings = {"state_dir": "/srv/state", "database_url": "postgresql://x:hush@db.example.com/x"}
    how = launch(("/bin/pingone-mcp",), None, settings, "acme & sons")
    assert how.program == ("/bin/pingone-mcp", "--connection", "acme & sons")
    assert (how.settings, how.asks, how.server) == ({"state_dir": "/srv/state"}, False, "pingone-acme-sons")
