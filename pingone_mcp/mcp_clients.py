"""What an MCP client needs to start this program: the entry for each client, where it goes, links that install it.

A client may start programs with a PATH of its own (Claude Desktop does), and in a folder of its own: every path is
absolute. No secret is ever in an entry: where one is needed, a word says so that a person replaces.

Sources: modelcontextprotocol.io (Connect to local servers), code.claude.com/docs/en/mcp, code.visualstudio.com/docs
(MCP configuration reference; MCP developer guide), cursor.com/docs/mcp (and its page of install links).
"""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import Literal, get_args
from urllib.parse import quote, urlencode

from pingone_mcp.advice import variable
from pingone_mcp.errors import Refused

ClientName = Literal["claude-desktop", "claude-code", "vscode", "vscode-insiders", "cursor"]
System = Literal["linux", "darwin", "win32"]
CLIENTS: tuple[ClientName, ...] = get_args(ClientName)
SERVER = "pingone"
"""What the server is called in a client; that of a linked connection has the name of the connection behind it."""
SECRET = "client_secret"  # noqa: S105 - the name of a setting
DATABASE = "database_url"
_HIDDEN = frozenset({SECRET, DATABASE})
_INPUT = "pingone-client-secret"
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")  # what the name of a server must not hold in some clients
_TO_FILL_IN: Mapping[str, str] = MappingProxyType(
    {
        "environment_id": "YOUR_ENVIRONMENT_ID",
        "client_id": "YOUR_CLIENT_ID",
        SECRET: "YOUR_CLIENT_SECRET",
        "region": "NA",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How this program is started: absolute `program` and its arguments; `settings` by name, without secrets.

    `asks` says that the client secret is to be given too; `server` is what the client calls it.
    """

    program: tuple[str, ...]
    settings: Mapping[str, str]
    asks: bool
    server: str = SERVER


def launch(
    program: tuple[str, ...],
    env_file: PurePath | None,
    settings: Mapping[str, str],
    connection: str | None = None,
) -> Launch:
    """Return how a program is started with a file of settings, or with settings; with neither, ones to fill in.

    Of `settings`, which are values by name, the secrets stay out. A linked `connection` has its settings already.
    """
    if env_file is not None:
        program, settings = (*program, "--env-file", str(env_file)), {}
    elif connection is None:
        settings = settings or _TO_FILL_IN
    server = SERVER
    if connection is not None:
        program = (*program, "--connection", connection)
        server = f"{SERVER}-{_NO_NAME.sub('-', connection).strip('-')}"
    return Launch(
        program=program,
        settings={name: value for name, value in settings.items() if name not in _HIDDEN},
        asks=SECRET in settings,
        server=server.strip("-"),
    )


def snippet(client: ClientName, how: Launch, system: System) -> str:
    """Return what a client is given: JSON of its file, or for Claude Code a command of the shell."""
    if client == "claude-code":
        options = [word for name, value in _environment(how).items() for word in ("--env", f"{name}={value}")]
        # The option between them keeps the name from being taken for one more value of --env.
        words = ["claude", "mcp", "add", *options, "--transport", "stdio", how.server, "--", *how.program]
        return subprocess.list2cmdline(words) if system == "win32" else shlex.join(words)
    if client in ("vscode", "vscode-insiders"):
        servers = {how.server: {"type": "stdio", **_entry(client, how)}}
        return _shown({"inputs": [_ASKED], "servers": servers} if how.asks else {"servers": servers})
    return _shown({"mcpServers": {how.server: _entry(client, how)}})


def install_link(client: ClientName, how: Launch) -> str:
    """Return the link that adds the server to a client when it is opened. Raises Refused where a client has none."""
    match client:
        case "vscode" | "vscode-insiders":
            inputs = {"inputs": [_ASKED]} if how.asks else {}
            whole = {"name": how.server, "type": "stdio", **_entry(client, how), **inputs}
            return f"{client}:mcp/install?{quote(_compact(whole), safe='')}"
        case "cursor":
            config = base64.b64encode(_compact(_entry(client, how)).encode()).decode()
            return f"cursor://anysphere.cursor-deeplink/mcp/install?{urlencode({'name': how.server, 'config': config})}"
        case _:
            raise Refused(
                f"{_TITLES[client]} has no links that install a server.",
                f"Leave --link out; those that have them: {', '.join(_LINKED)}.",
            )


def place(client: ClientName, system: System, server: str = SERVER) -> str:
    """Say where the snippet of a client goes on a system, and what else is to be done."""
    title = _TITLES[client]
    match client:
        case "claude-code":
            return (
                "Run this command in the folder of the project that is to have the server; "
                "add --scope user before --transport to have it in all of them. Then /mcp shows it."
            )
        case "claude-desktop":
            file = _below(_CONFIG, system, "Claude", "claude_desktop_config.json")
            opens = "in Settings, Developer, the button Edit Config opens it"
        case "cursor":
            file = "%USERPROFILE%\\.cursor\\mcp.json" if system == "win32" else "~/.cursor/mcp.json"
            opens = "or .cursor/mcp.json of one project"
        case _:
            file = _below(
                _CONFIG, system, "Code - Insiders" if client == "vscode-insiders" else "Code", "User", "mcp.json"
            )
            opens = "`MCP: Open User Configuration` opens it; .vscode/mcp.json is that of one project"
    return (
        f"Put this into {file} ({opens}). Where there are other servers already, add only the entry `{server}` to them. "
        f"Then start {title} anew."
    )


_TITLES: Mapping[ClientName, str] = MappingProxyType(
    {
        "claude-desktop": "Claude Desktop",
        "claude-code": "Claude Code",
        "vscode": "VS Code",
        "vscode-insiders": "VS Code Insiders",
        "cursor": "Cursor",
    }
)
_LINKED = ("vscode", "vscode-insiders", "cursor")
_ASKED = {"type": "promptString", "id": _INPUT, "description": "PingOne client secret", "password": True}
# Where programs keep their configuration, and how a path is written there.
_CONFIG: Mapping[System, tuple[str, str]] = MappingProxyType(
    {
        "linux": ("~/.config", "/"),
        "darwin": ("~/Library/Application Support", "/"),
        "win32": ("%APPDATA%", "\\"),
    }
)


def _below(folders: Mapping[System, tuple[str, str]], system: System, *names: str) -> str:
    folder, between = folders[system]
    return between.join((folder, *names))


def _entry(client: ClientName, how: Launch) -> dict[str, object]:
    command, *arguments = how.program
    environment = _environment(how, f"${{input:{_INPUT}}}" if client.startswith("vscode") else _TO_FILL_IN[SECRET])
    entry: dict[str, object] = {"command": command}
    if arguments:
        entry["args"] = arguments
    if environment:
        entry["env"] = environment
    return entry


def _environment(how: Launch, secret: str = _TO_FILL_IN[SECRET]) -> dict[str, str]:
    settings = {**how.settings, SECRET: secret} if how.asks else how.settings
    return {variable(name): value for name, value in settings.items()}


def _shown(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def _compact(document: object) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
