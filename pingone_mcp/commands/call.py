"""`pingone-mcp call`: the answer of one tool."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mcp.types import CallToolResult

from pingone_mcp.advice import variable
from pingone_mcp.commands.ending import FAILED, MISCONFIGURED, OK, WrongUse
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.console import print_json, say
from pingone_mcp.errors import NO_TOKEN_YET, WRONG_ARGUMENTS
from pingone_mcp.nearest import did_you_mean

Ask = Callable[[str, dict[str, Any]], Awaitable[CallToolResult]]


async def called(ask: Ask, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    """Return what a tool answers; where it has no token yet, once that has come or failed.

    An assistant asks again meanwhile. A command that ends takes the token along that is on its way, and so would the
    next one.
    """
    while True:
        result = await ask(tool, arguments)
        if not result.is_error or NO_TOKEN_YET not in complaint(result):
            return result


def complaint(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


def _key_values(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise WrongUse(
                "An argument is not of the form key=value.", "Example: pingone-mcp call list_users query=uma"
            )
        if key in pairs:
            raise WrongUse("An argument is given twice.", "A list is written as one argument: fields=id,username")
        pairs[key] = value
    return pairs


def _typed(value: str, schema: dict[str, Any]) -> Any:
    """Read a command line value as its schema wants it; lists may be written a,b or as JSON."""
    kind = schema.get("type")
    if kind == "array" and not value.lstrip().startswith("["):
        return [part.strip() for part in value.split(",") if part.strip()]
    if kind in ("array", "object", "integer", "boolean"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tool", metavar="TOOL", help="name of the tool, e.g. list_users")
    parser.add_argument("arguments", nargs="*", metavar="key=value", help="arguments; lists as a,b or JSON")


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    texts = _key_values(given.arguments)
    async with doors.client() as client:
        schemas = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
        if given.tool not in schemas:
            hint = did_you_mean(given.tool, schemas)
            raise WrongUse("There is no such tool.", f"{hint} The tools are: {', '.join(schemas)}.".strip())
        properties = schemas[given.tool]["properties"]
        typed = {name: _typed(value, properties.get(name, {})) for name, value in texts.items()}
        result = await called(client.call_tool, given.tool, typed)
    if result.is_error:
        say(complaint(result).removeprefix(f"Error executing tool {given.tool}: "), stderr=True)
        return MISCONFIGURED if f"[{WRONG_ARGUMENTS}]" in complaint(result) else FAILED
    print_json(result.structured_content, indent=2)
    return OK


VERB = Verb(
    name="call",
    text=f"""\
Call one tool as an assistant would, and print its answer as JSON.
The exit status is 1 when the tool answers with an error, 2 for wrong use (arguments that the tool does
not take, too) or configuration.

examples:
  pingone-mcp call list_users query=uma limit=5
  pingone-mcp call list_users fields=id,username,status 'filter=enabled eq false'
  pingone-mcp call get_user user=uma.becker@example.com
  {variable("sandbox", "1")} pingone-mcp call find_deactivated 'reasons=["locked"]'""",
    add=_add,
    run=_run,
)
