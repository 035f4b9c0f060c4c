"""The main job, shown: a real MCP client asks the server over stdio, and the server asks a PingOne over HTTP.

The PingOne is the sandbox, on a port of this machine; the server is a process of its own, configured like any other.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pingone_mcp.console import console
from pingone_mcp.sandbox.app import Sandbox, running
from pingone_mcp.server.edge import compact

# English prose and JSON have about four characters per token; exact counts depend on the assistant's model.
_CHARACTERS_PER_TOKEN = 4
_ROWS_SHOWN = 5
_COLUMNS = (
    "name",
    "username",
    "title",
    "department",
    "status",
    "status_reasons",
    "workspace",
    "deactivated_by",
    "userCount",
    "default",
)


async def tell(size: int) -> int:
    """Tell the story on a sample company of `size` users; return the exit status."""
    out = console()
    sandbox = Sandbox(size=size)
    with tempfile.TemporaryDirectory(prefix="pingone-mcp-demo-") as cache:
        async with running(sandbox) as base_url:
            variables = {
                "PINGONE_API_URL": f"{base_url}/v1",
                "PINGONE_AUTH_URL": base_url,
                "PINGONE_ENVIRONMENT_ID": sandbox.environment_id,
                "PINGONE_CLIENT_ID": sandbox.client_id,
                "PINGONE_CLIENT_SECRET": sandbox.client_secret,
                "PINGONE_CACHE_DIR": cache,
            }
            command = StdioServerParameters(command=sys.executable, args=["-m", "pingone_mcp"], env=variables)
            out.print(f"[bold]A sample company with {size:,} users[/], served by a fake PingOne on {base_url}.")
            async with Client(command) as client:
                return await _Story(client=client, sandbox=sandbox, out=out).tell()


@dataclass(slots=True, kw_only=True)
class _Story:
    client: Client
    sandbox: Sandbox
    out: Console

    async def tell(self) -> int:
        tools = (await self.client.list_tools()).tools
        text = compact([tool.model_dump(by_alias=True, exclude_none=True) for tool in tools])
        self.out.print(
            f"An assistant starts pingone-mcp over stdio and finds {len(tools)} tools"
            f" ({', '.join(tool.name for tool in tools)}): about {_tokens(text):,} tokens of definitions.\n"
        )
        await self._people()
        found = await self._ask("Who are the contractors in the directory?", "list_users", population="Contractors", limit=5)
        await self._ask("And the next five?", "list_users", cursor=found["next_cursor"], limit=5)
        await self._ask("Tell me everything about the first one.", "get_user", user=found["result"][0]["username"])
        await self._deactivated()
        await self._proxy()
        await self._mistake()
        self.out.print(
            "[bold]That was the whole way:[/] token, paging, rate limits and the unified user were the server's business."
            "\nNext: [bold]pingone-mcp check[/] with your own PINGONE_* variables, and the client configurations in README.md."
        )
        return 0

    async def _people(self) -> None:
        everybody = await self._ask("Who is in the directory?", "list_users", limit=50)
        self.out.print(f"  {everybody['total']:,} users in all; the rest follows with the cursor.\n")

    async def _deactivated(self) -> None:
        answer = await self._ask("Who cannot sign in any more, and why?", "find_deactivated", limit=200)
        for reason, how in answer["coverage"].items():
            verdict = "[green]complete[/]" if how["complete"] else "[yellow]not complete[/]"
            self.out.print(f"  {reason}: {verdict}, by {escape(how['how'])}. {escape(how.get('note', ''))}")
        self.out.print()

    async def _proxy(self) -> None:
        path = f"/environments/{self.sandbox.environment_id}/populations"
        await self._ask("Show me PingOne's own populations.", "proxy_request", path=path)

    async def _mistake(self) -> None:
        await self._ask("Find everybody whose title starts with Eng.", "list_users", filter='title starts "Eng"')

    async def _ask(self, question: str, tool: str, **arguments: Any) -> dict[str, Any]:
        self.out.print(f"[bold cyan]{escape(question)}[/]")
        self.out.print(f"  [dim]{tool} {escape(_shortened(arguments))}[/]")
        before, tokens_before = len(self.sandbox.requests), self.sandbox.token_requests
        result = await self.client.call_tool(tool, arguments)
        requests = len(self.sandbox.requests) - before
        tokens = self.sandbox.token_requests - tokens_before
        text = "".join(block.text for block in result.content if block.type == "text")
        self._show(result, text)
        grant = f" and {tokens} for the token" if tokens else ""
        cost = f"  [dim]{requests} request{'s' * (requests != 1)} to PingOne{grant}, about {_tokens(text):,} tokens of text[/]\n"
        self.out.print(cost)
        return result.structured_content or {}

    def _show(self, result: CallToolResult, text: str) -> None:
        facts = result.structured_content or {}
        if result.is_error:
            self.out.print(f"  [yellow]refused:[/] {escape(text)}")
        elif "result" in facts:
            rows = facts["result"]
            self.out.print(_table(rows[:_ROWS_SHOWN]))
            if len(rows) > _ROWS_SHOWN:
                self.out.print(f"  … {len(rows) - _ROWS_SHOWN} more rows in this answer")
        else:
            for name, value in facts.items():
                self.out.print(f"  [bold]{name}[/]: {escape(_value(value))}")


def _table(rows: list[dict[str, Any]]) -> Table:
    names = [name for name in _COLUMNS if any(name in row for row in rows)]
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("", *names):
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=30)
    for row in rows:
        table.add_row("", *(escape(_value(row.get(name, ""))) for name in names))
    return table


def _value(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    text = value if isinstance(value, str) else compact(value)
    return text if len(text) <= 160 else f"{text[:159]}…"


def _shortened(arguments: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_value(value)[:60]}" for name, value in arguments.items())


def _tokens(text: str) -> int:
    return len(text) // _CHARACTERS_PER_TOKEN
