"""`pingone-mcp call`: the answer of one tool."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pingone_mcp.advice import variable
from pingone_mcp.commands.ending import FAILED, MISCONFIGURED, OK, WrongUse
from pingone_mcp.commands.shell.tool_help import about, print_tool
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.console import console, print_json, print_table, say
from pingone_mcp.errors import NO_TOKEN_YET, WRONG_ARGUMENTS
from pingone_mcp.nearest import did_you_mean

if TYPE_CHECKING:  # --list and --help need no client
    from mcp.types import CallToolResult

Ask = Callable[[str, dict[str, Any]], "Awaitable[CallToolResult]"]


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


# The whole list behind one that is answered page by page.
_WHOLE = {"list_users": "users", "list_groups": "groups", "list_members": "memberships", "list_changes": "changes"}


def _say_how_to_go_on(tool: str, facts: dict[str, Any]) -> None:
    """Tell a person that an answer is not all, and what gives the rest."""
    out = console(stderr=True)
    if out.is_terminal and facts.get("next_cursor") and tool in _WHOLE:
        out.print(
            Text(
                f"There is more: cursor=… goes on, and `pingone-mcp export {_WHOLE[tool]}` writes everything.", "yellow"
            )
        )


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tool", metavar="TOOL", nargs="?", help="name of the tool, e.g. list_users")
    parser.add_argument("arguments", nargs="*", metavar="key=value", help="arguments; lists as a,b or JSON")
    parser.add_argument("--list", action="store_true", help="print the tools, and end")
    parser.add_argument("-h", "--help", action="store_true", help="print this, or what TOOL takes, and end")
    parser.set_defaults(print_help=parser.print_help)


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    if given.list and given.tool is not None:
        raise WrongUse("--list names all tools.", f"`pingone-mcp call {given.tool} --help` says what one takes.")
    if given.list or given.help:
        return _help(given, doors)
    if given.tool is None:
        raise WrongUse("TOOL is missing.", "pingone-mcp call --list names the tools.")
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
    _say_how_to_go_on(given.tool, result.structured_content or {})
    return OK


def _help(given: argparse.Namespace, doors: Doors) -> int:
    if given.tool is None and not given.list:
        given.print_help()
        return OK
    tools = {tool.name: tool for tool in doors.tools()}
    out = console()
    if given.list:
        print_table(out, ("tool", "what it does"), [(name, about(tool)) for name, tool in tools.items()], prose=True)
        return OK
    if given.tool not in tools:
        hint = did_you_mean(given.tool, tools)
        raise WrongUse("There is no such tool.", f"{hint} The tools are: {', '.join(tools)}.".strip())
    print_tool(out, tools[given.tool])
    return OK


VERB = Verb(
    name="call",
    text=f"""\
Call one tool and print its answer as JSON, as long as what was asked for: the budgets of an assistant's
answers bound it only where they are set. --list names the tools, TOOL --help says what one takes.
The exit status is 1 when the tool answers with an error, 2 for wrong use (arguments that the tool does
not take, too) or configuration.

examples:
  pingone-mcp call --list
  pingone-mcp call list_users --help
  pingone-mcp call list_users query=uma limit=5
  pingone-mcp call list_users fields=id,username,status 'filter=enabled eq false'
  pingone-mcp call get_user user=uma.becker@example.com
  {variable("sandbox", "1")} pingone-mcp call find_deactivated 'reasons=["locked"]'""",
    add=_add,
    run=_run,
    takes_connection=True,
    own_help=True,
)
