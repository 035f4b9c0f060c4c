"""The main job, shown: a real MCP client asks the server over stdio, and the server asks a PingOne over HTTP.

The PingOne is the sandbox, on a port of this machine; the server is a process of its own, configured like any other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from pingone_mcp.advice import variable
from pingone_mcp.commands.verb import Doors, Verb, add_size
from pingone_mcp.console import console
from pingone_mcp.directory.rows import compact
from pingone_mcp.sandbox.app import Sandbox, running
from pingone_mcp.wiring import settings_of

# English prose and JSON have about four characters per token; exact counts depend on the assistant's model.
_CHARACTERS_PER_TOKEN = 4
_ROWS_SHOWN = 5
_COLUMNS = ("name", "username", "title", "status", "status_reasons", "workspace", "userCount", "default")
_MEMBERS = (
    "name",
    "username",
    "title",
    "department",
    "manager",
    "type",
    "status",
    "status_source",
    "is_2fa_enabled",
    "groups",
    "workspaces",
    "last_login_at",
    "state",
    "counts",
    "seconds",
)


_NEVER_SIGNED_IN = (
    "SELECT department, count(*) AS never_signed_in FROM users "
    "WHERE last_login_at IS NULL AND status = 'active' GROUP BY department ORDER BY 2 DESC"
)


async def tell(size: int) -> int:
    """Tell the story on a sample company of `size` users (at least 100); return the exit status."""
    out = console()
    sandbox = Sandbox(size=size)
    with tempfile.TemporaryDirectory(prefix="pingone-mcp-demo-", ignore_cleanup_errors=True) as cache:
        async with running(sandbox) as base_url:
            settings = settings_of(sandbox, base_url) | {"cache_dir": cache}
            variables = {variable(name): value for name, value in settings.items()}
            command = StdioServerParameters(command=sys.executable, args=["-m", "pingone_mcp"], env=variables)
            async with Client(command) as client:
                await _Story(client=client, sandbox=sandbox, out=out).tell()
    return 0


@dataclass(slots=True, kw_only=True)
class _Story:
    client: Client
    sandbox: Sandbox
    out: Console

    async def tell(self) -> None:
        await self._opening()
        await self._live()
        await self._copied()
        await self._own_words()
        self.out.print(
            "[bold]That is the main job.[/] Tokens, paging, rate limits and the unified user were the server's business.\n"
            "Next: put your own values into a file, see that they work, and add the server to your assistant:\n"
            "  pingone-mcp guide settings > my.env\n"
            "  pingone-mcp --env-file my.env check\n"
            "  pingone-mcp --env-file my.env client-config claude-desktop     (or claude-code, vscode, cursor)"
        )

    async def _live(self) -> None:
        await self._ask(
            "Who is in the directory?",
            "list_users",
            {"limit": 50},
            "One flat list in one unified schema. `total` counts all; `next_cursor` leads on, so nobody is forgotten.",
        )
        contractors = await self._ask(
            "Who are the contractors?",
            "list_users",
            {"population": "Contractors", "limit": 5},
            "A population is asked for by its name: the server looks up the id.",
        )
        await self._ask(
            "And the next five?",
            "list_users",
            {"cursor": contractors["next_cursor"], "limit": 5},
            "The cursor remembers the question. It is signed: an edited one is refused.",
        )
        await self._ask(
            "Tell me about the first one.",
            "get_user",
            {"user": contractors["result"][0]["username"]},
            "Groups (also indirect ones) and manager come with their names; status_source is what PingOne itself says.",
        )
        await self._ask(
            "Who cannot sign in any more, and why?",
            "find_deactivated",
            {"limit": 50},
            "`coverage` says for each reason how it was looked for and what may be missing.",
        )

    async def _copied(self) -> None:
        await self._ask(
            "Keep a copy of all that on this machine.",
            "sync_directory",
            {},
            "One private file. The next sync reads only what has changed, and says what that was.",
        )
        await self._ask(
            "Who has never signed in, by department?",
            "query_directory",
            {"sql": _NEVER_SIGNED_IN},
            "A question about everybody, answered in a few hundred characters: the directory stays on this machine.",
        )

    async def _own_words(self) -> None:
        await self._ask(
            "Show me PingOne's own populations.",
            "proxy_request",
            {"path": f"/environments/{self.sandbox.environment_id}/populations"},
            "Whatever else the API can read, in PingOne's own words. The token goes to this API and nowhere else.",
        )
        await self._ask(
            "Whose title starts with Eng?",
            "list_users",
            {"filter": 'title starts "Eng"'},
            "A mistake on purpose: the assistant is told what to write instead, and PingOne is not bothered with it.",
        )

    async def _opening(self) -> None:
        tools = (await self.client.list_tools()).tools
        # What hosts show to a model; what tools answer is for programs.
        text = compact([tool.model_dump(by_alias=True, exclude_none=True, exclude={"output_schema"}) for tool in tools])
        self.out.print(
            f"[bold]A sample company with {self.sandbox.company.size:,} users[/] lives in a fake PingOne on "
            f"{self.sandbox.base_url}.\n"
            "An MCP client, as an assistant has one, starts pingone-mcp over stdio and asks. Nothing leaves this machine.\n"
            f"It finds {len(tools)} tools, about {_tokens(text):,} tokens of definitions:\n"
            f"{textwrap.fill(', '.join(tool.name for tool in tools), 100)}.\n"
        )

    async def _ask(self, question: str, tool: str, arguments: Mapping[str, Any], point: str) -> dict[str, Any]:
        """Ask one question through a tool; show what was called, what came back, what it cost, and what it shows."""
        self.out.print(f"[bold cyan]{escape(question)}[/]")
        self._say(f"[dim]→ {tool} {escape(_shortened(arguments))}[/]")
        requests, grants = self._requests(), self.sandbox.token_requests
        result = await self.client.call_tool(tool, dict(arguments))
        requests, grants = self._requests() - requests, self.sandbox.token_requests - grants
        text = "".join(block.text for block in result.content if block.type == "text")
        facts: dict[str, Any] = result.structured_content or {}
        if result.is_error:
            self._say(f"The answer: {escape(text.removeprefix(f'Error executing tool {tool}: '))}")
        elif "result" in facts:
            self._rows(facts)
        elif "columns" in facts:
            self._table(facts["columns"], facts["rows"])
        else:
            self._members(facts)
        self._coverage(facts)
        token = ", and one for the access token" if grants else ""
        self._say(f"[dim]{_count(requests, 'request')} to PingOne{token}; {_size(result, text)}[/]")
        self._say(f"[green]{escape(point)}[/]")
        self.out.print()
        return facts

    def _requests(self) -> int:
        return sum(entry.path.startswith("/v1/") for entry in self.sandbox.requests)

    def _rows(self, facts: Mapping[str, Any]) -> None:
        rows = facts["result"]
        columns = [name for name in _COLUMNS if name != "title" or self.out.width > 100]
        names = [name for name in columns if any(row.get(name) not in (None, "", []) for row in rows)]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in names:
            table.add_column(
                name, overflow="ellipsis", no_wrap=True, max_width=30, min_width=8 if name == "status" else None
            )
        for row in rows[:_ROWS_SHOWN]:
            table.add_row(*(escape(_value(row.get(name))) for name in names))
        self._say(table)
        total = "" if facts.get("total") is None else f" of {facts['total']:,}"
        rest = ", and next_cursor for the rest" if facts["next_cursor"] else ""
        shown = f"; {_ROWS_SHOWN} are shown here" if len(rows) > _ROWS_SHOWN else ""
        self._say(f"{_count(len(rows), 'row')}{total}{rest}{shown}.")

    def _table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in columns:
            table.add_column(escape(name), no_wrap=True)
        for row in rows[:_ROWS_SHOWN]:
            table.add_row(*(escape(_value(value)) for value in row))
        self._say(table)
        shown = f"; {_ROWS_SHOWN} are shown here" if len(rows) > _ROWS_SHOWN else ""
        self._say(f"{_count(len(rows), 'row')}{shown}.")

    def _members(self, facts: Mapping[str, Any]) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name in _MEMBERS:
            if facts.get(name) not in (None, "", []):
                table.add_row(name, escape(_value(facts[name])))
        self._say(table)
        others = [name for name, value in facts.items() if name not in _MEMBERS and value not in (None, "", [])]
        self._say(f"[dim]and {', '.join(others)}[/]")

    def _coverage(self, facts: Mapping[str, Any]) -> None:
        for reason, how in facts.get("coverage", {}).items():
            verdict = "[green]complete[/]" if how["complete"] else "[yellow]not complete[/]"
            note = f" {how['note']}" if how.get("note") else ""
            self._say(f"[bold]{escape(reason)}[/]: {verdict}, by {escape(how['how'])}.{escape(note)}")

    def _say(self, what: str | Table) -> None:
        """Print indented below the question, as far as lines are folded at all."""
        self.out.print(
            f"  {what}" if isinstance(what, str) and self.out.soft_wrap else Padding(what, (0, 0, 0, 2), expand=False)
        )


def _value(value: object) -> str:
    """Write a value for people: names rather than ids where there are some."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_value(item) for item in value)
        case {"name": str(name), **rest}:
            return f"{name} ({kind})" if (kind := rest.get("type")) else name
        case {"username": str(username)}:
            return username
        case dict():
            return ", ".join(f"{name} {_value(member)}" for name, member in value.items())
        case _:
            return str(value)


def _shortened(arguments: Mapping[str, Any]) -> str:
    texts = ((name, _value(value)) for name, value in arguments.items())
    return " ".join(f"{name}={text if len(text) <= 62 else f'{text[:20]}…'}" for name, text in texts)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'s' * (number != 1)}"


def _size(result: CallToolResult, text: str) -> str:
    return f"{'refused in' if result.is_error else 'answered in'} about {_tokens(text):,} tokens of text"


def _tokens(text: str) -> int:
    return len(text) // _CHARACTERS_PER_TOKEN


def _add(parser: argparse.ArgumentParser) -> None:
    add_size(parser, least=100)


async def _run(given: argparse.Namespace, _: Doors) -> int:
    return await tell(given.size)


VERB = Verb(
    name="demo",
    text="""\
Show the main job: an MCP client asks the server over stdio, and the server asks a fake PingOne on this machine.
Nothing is configured, nothing leaves the machine, and nothing is left behind.""",
    add=_add,
    run=_run,
)
