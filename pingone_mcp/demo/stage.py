"""One question after the other to a server over MCP, shown: what was called, what came back, and what it cost."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mcp import Client
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from pingone_mcp.console import print_rows, shown
from pingone_mcp.demo.sheets import Facts, Reading, Sheet, counted, written
from pingone_mcp.directory.rows import compact
from pingone_mcp.sandbox.app import Sandbox

# Characters of one token of o200k, as tests/process/test_demo.py counts: definitions are prose, answers are JSON. What
# it is exactly depends on the assistant's model.
OF_DEFINITIONS, OF_ANSWERS = 4.25, 3.0
_FOLDED = 100


@dataclass(slots=True, kw_only=True)
class Stage:
    """Where it is shown; `sandbox` is the PingOne behind the server, which counts what it is asked."""

    client: Client
    sandbox: Sandbox
    out: Console

    async def present(self) -> None:
        """Say who plays, and which tools an assistant finds."""
        tools = (await self.client.list_tools()).tools
        # What hosts show to a model; what tools answer is for programs.
        text = compact([tool.model_dump(by_alias=True, exclude_none=True, exclude={"output_schema"}) for tool in tools])
        self.tell(
            f"A sample company with {self.sandbox.company.size:,} users lives in a fake PingOne on {self.sandbox.base_url}. "
            "An MCP client, as an assistant has one, starts pingone-mcp over stdio and asks. Nothing leaves this machine. "
            f"It finds {len(tools)} tools, {tokens(text, OF_DEFINITIONS)} of definitions: "
            f"{', '.join(tool.name for tool in tools)}."
        )

    def title(self, text: str) -> None:
        """Begin a part of the story."""
        self.out.print(f"[bold reverse] {escape(text)} [/]\n" if self.out.is_terminal else f"== {text} ==\n")

    def tell(self, text: str) -> None:
        """Say something beside the questions."""
        folded = textwrap.fill(text, _FOLDED) if self.out.soft_wrap else text
        self.out.print(f"{escape(folded)}\n", style="bold")

    async def ask(
        self, question: str, tool: str, arguments: Mapping[str, Any], point: str, *, read: Reading
    ) -> dict[str, Any]:
        """Ask one question through a tool, and show it with what there is to see in the answer; return that.

        An answer that is not ready yet is asked for again, as an assistant does.
        """
        self.out.print(f"[bold cyan]{escape(question)}[/]")
        requests, grants = self._requests(), self.sandbox.token_requests
        result = await self.client.call_tool(tool, dict(arguments))
        while (result.structured_content or {}).get("state") == "running":
            result = await self.client.call_tool(tool, dict(arguments))
        token = ", and one for the access token" if self.sandbox.token_requests > grants else ""
        asked = f"{counted(self._requests() - requests, 'request')} to PingOne{token}"
        text = "".join(block.text for block in result.content if block.type == "text")
        facts: dict[str, Any] = result.structured_content or {}
        words = " ".join((tool, *_shortened(arguments)))
        self._say(f"[dim]→ {escape(words)} ({asked}, answer of {tokens(text, OF_ANSWERS)})[/]")
        if result.is_error:
            self._say(f"The answer: {escape(shown(text.removeprefix(f'Error executing tool {tool}: ')))}")
        else:
            self._sheet(read(facts))
        self._say(f"[green]{escape(point)}[/]")
        self.out.print()
        return facts

    def _requests(self) -> int:
        return sum(entry.path.startswith("/v1/") for entry in self.sandbox.requests)

    def _sheet(self, sheet: Sheet) -> None:
        lines = [[shown(cell) for cell in line] for line in sheet.lines]
        headings = [sheet.heading] if sheet.heading and lines else []
        print_rows(self.out, [*headings, *lines], headed=bool(headings), prose=True)
        for note in sheet.notes:
            self._say(escape(shown(note)))

    def _say(self, what: str) -> None:
        """Print indented below the question, as far as lines are folded at all."""
        self.out.print(f"  {what}" if self.out.soft_wrap else Padding(what, (0, 0, 0, 2), expand=False))


def _shortened(arguments: Facts) -> Iterator[str]:
    texts = ((name, written(value)) for name, value in arguments.items())
    return (f"{name}={text if len(text) <= 62 else f'{text[:20]}…'}" for name, text in texts)


def tokens(text: str, characters: float) -> str:
    """Say how long a text is, with two digits of which one may believe the first: about 5,500 tokens."""
    number = len(text) / characters
    unit = 10 ** max(0, len(str(round(number))) - 2)
    return f"about {round(number / unit) * unit:,} tokens"
