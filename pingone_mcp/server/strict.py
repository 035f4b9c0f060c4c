"""Tools and a server that take nothing but what they know, and refuse the rest in one sentence.

Strict and lean input schemas, arguments read as their schema says, failures as readable text.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, CallToolResult, GetPromptResult, InputRequiredResult, ToolAnnotations
from pydantic import AnyUrl, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import WRONG_ARGUMENTS, Problem
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.server.bounds import LONGEST_URI, beyond
from pingone_mcp.server.edge import AppContext
from pingone_mcp.server.schemas import OUTPUT
from pingone_mcp.service.connections import ServedConnection

P = ParamSpec("P")
R = TypeVar("R")

# Of what only reads, MCP gives `idempotentHint` no meaning.
READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)
_LONGEST_NAME = 64  # of a tool, which an answer to an unknown one repeats
_SHOWN_MISTAKES = 5


class StrictServer(MCPServer[ServedConnection]):
    """An MCPServer whose errors are one line: which name or argument is wrong, or what the Problem says."""

    def share(self, other: StrictServer) -> None:
        """Offer what another server offers: the same tools, resources and prompts, which no request changes."""
        self._tool_manager = other._tool_manager
        self._resource_manager = other._resource_manager
        self._prompt_manager = other._prompt_manager

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: AppContext | None = None
    ) -> CallToolResult | InputRequiredResult:
        if self._tool_manager.get_tool(name) is None:
            known = [tool.name for tool in self._tool_manager.list_tools() if is_for_models(tool.meta)]
            hint = did_you_mean(name, known)
            shown = harmless(name[:_LONGEST_NAME])
            raise ToolError(f"Unknown tool: {shown}. {hint} The tools are: {', '.join(known)}.".replace("  ", " "))
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                tool = self._tool_manager.get_tool(name)
                metadata = tool.fn_metadata if tool else None
                better = metadata.explain(arguments) if isinstance(metadata, _Arguments) else None
                known = tool.parameters["properties"] if tool else {}
                said = better or f"{name}: {_wrong_arguments(error.__cause__, known)}"
                raise ToolError(f"{said} [{WRONG_ARGUMENTS}]") from None
            if isinstance(error.__cause__, ToolError):  # ours, raised by `_readable`: without the SDK's prefix
                raise error.__cause__ from None
            raise

    async def read_resource(
        self, uri: AnyUrl | str, context: AppContext | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource. Raises ResourceNotFoundError for a URI that is longer than any that is here."""
        if len(str(uri)) > LONGEST_URI:
            raise ResourceNotFoundError(f"The URI has more than {LONGEST_URI:,} characters, as none does that is here.")
        return await super().read_resource(uri, context)

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: AppContext | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Fill in a prompt. Raises MCPError for a wrong request, which the SDK would count as a failure of its own."""
        prompt = self._prompt_manager.get_prompt(name)
        if prompt is None:
            known = [prompt.name for prompt in self._prompt_manager.list_prompts()]
            hint = did_you_mean(name, known)
            listed = f"The prompts are: {', '.join(known)}."
            raise MCPError(INVALID_PARAMS, " ".join(filter(None, ("There is no prompt of this name.", hint, listed))))
        if too_much := beyond(arguments or {}):
            raise MCPError(INVALID_PARAMS, f"The prompt {name}: {too_much}")
        required = [argument.name for argument in prompt.arguments or [] if argument.required]
        if missing := [argument for argument in required if not (arguments or {}).get(argument, "").strip()]:
            raise MCPError(INVALID_PARAMS, f"The prompt {name} needs the argument {' and '.join(missing)}.")
        return await super().get_prompt(name, arguments, context)


# What pydantic says in Python's words.
_WRITTEN = {
    "list_type": 'Input should be a list, e.g. ["a","b"]',
    "dict_type": 'Input should be an object, e.g. {"name":"value"}',
}


def _wrong_arguments(error: ValidationError, known: Mapping[str, Any]) -> str:
    """Name each wrong argument and what it should be; the values stay out of it. `known` are the schemas of all."""
    lines: list[str] = []
    for item in error.errors(include_url=False):
        where = harmless(".".join(str(part) for part in item["loc"]))
        if item["type"] == "extra_forbidden":
            taken = f"The arguments are {', '.join(sorted(known))}" if known else "It takes none"
            hint = did_you_mean(where, known, most=1)
            lines.append(f"there is no argument `{where[:64]}`. {hint} {taken}.".replace("  ", " "))
        elif item["type"] == "missing" and where in known:
            lines.append(f"`{where}` is missing: {known[where].get('description', 'give it.')}")
        else:
            lines.append(f"`{where[:64]}`: {_WRITTEN.get(item['type'], item['msg'])}.{_meant(item)}")
    shown = list(dict.fromkeys(lines))
    more = f" And {len(shown) - _SHOWN_MISTAKES:,} more." if len(shown) > _SHOWN_MISTAKES else ""
    return " ".join(shown[:_SHOWN_MISTAKES]) + more


def _meant(item: ErrorDetails) -> str:
    """Return which of the words that an argument takes was meant by another one; nothing where none was."""
    if item["type"] != "literal_error" or not isinstance(item["input"], str):
        return ""
    words = re.findall(r"'([^']*)'", str(item.get("ctx", {}).get("expected")))
    hint = did_you_mean(item["input"], words, most=1)
    return f" {hint}" if hint else ""


def is_for_models(meta: JsonObject | None) -> bool:
    """Say whether a tool of such a `_meta` is one that models call."""
    return "model" in ((meta or {}).get("ui") or {}).get("visibility", ("model",))


class StrictTool(Tool):
    """A tool as `strict_tool` makes it; clients list the one of the lowest `place` first."""

    place: int = 0


def strict_tool(
    fn: Callable[..., Awaitable[CallToolResult]],
    *,
    place: int,
    title: str,
    annotations: ToolAnnotations = READ_ONLY,
    kind: type[StrictTool] = StrictTool,
    meta: JsonObject | None = None,
    explain: Callable[[JsonObject], str | None] = lambda _: None,
) -> StrictTool:
    """Return a tool that refuses unknown arguments, publishes a lean schema, and states Problems as errors.

    `place` says where it stands in the list that clients show: what is asked most comes first. They go by tens. `meta`
    is what its definition says to clients, beside what it says to models.
    `explain` may say of arguments that do not fit the schema what is better than what the schema says.
    """
    if fn.__name__ not in OUTPUT:
        raise LookupError(f"What {fn.__name__} answers is not described: add it to OUTPUT in server/schemas.py.")
    made = kind.from_function(_readable(fn), title=title, annotations=annotations, structured_output=False, meta=meta)
    tool = cast(StrictTool, made)  # of its own class, which the SDK's annotation does not say
    tool.place = place
    model = tool.fn_metadata.arg_model
    model.model_config["extra"] = "forbid"
    model.model_rebuild(force=True)
    tool.parameters = lean(model.model_json_schema(by_alias=True))
    tool.description = " ".join((fn.__doc__ or "").split())
    kinds = {name: schema.get("type") for name, schema in tool.parameters["properties"].items()}
    tool.fn_metadata = _Arguments(arg_model=model, output_schema=OUTPUT[tool.name], kinds=kinds, explain=explain)
    return tool


class _Arguments(FuncMetadata):
    """Arguments read as their schema says: a text stays a text, even one that looks like JSON or says null.

    Some clients write lists and objects as JSON in a string: that is understood. And some must send every argument:
    null, an empty text and an empty list mean that an argument is left out (a `body`, which is of any type, may be an
    empty list).
    """

    kinds: dict[str, str | None]
    explain: Callable[[JsonObject], str | None]

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments to validate (the SDK's own version turns the text "null" into no argument at all).

        Raises ToolError for more than one call may hold, as it came or inside a text.
        """
        _refuse_beyond(data)
        read = {name: self._read(name, value) for name, value in data.items()}
        _refuse_beyond(read)
        known = self.arg_model.model_fields
        return {name: value for name, value in read.items() if name not in known or not self._is_absent(name, value)}

    def _is_absent(self, name: str, value: Any) -> bool:
        return value in (None, "") or (value == [] and self.kinds.get(name) == "array")

    def _read(self, name: str, value: Any) -> Any:
        if isinstance(value, list) and self.kinds.get(name) == "array":
            return [item for item in value if item != ""]
        if not isinstance(value, str) or self.kinds.get(name, "string") not in ("array", "object", None):
            return value
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return parsed if isinstance(parsed, list | dict) else value


def _refuse_beyond(arguments: Mapping[str, Any]) -> None:
    if too_much := beyond(arguments):
        raise ToolError(f"{too_much} [{WRONG_ARGUMENTS}]")


def _readable(fn: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Let a Problem reach the model as the tool's error; anything else stays masked by the SDK and is logged."""

    @functools.wraps(fn)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await fn(*args, **kwargs)
        except Problem as problem:
            raise ToolError(str(problem)) from problem

    return wrapped


def lean(schema: Any) -> Any:
    """Return a JSON schema without what a model does not need: titles, null alternatives and null defaults."""
    if isinstance(schema, list):
        return [lean(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: {name: lean(member) for name, member in value.items()} if key == "properties" else lean(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value in (None, False))
    }
    choices = [choice for choice in kept.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept = {**choices[0], **kept}
    return kept


def open_object(**members: str) -> WithJsonSchema:
    """Return the schema of an object of any members, a few of them named with their types.

    Some model providers (Gemini) refuse a whole request for one parameter that has no type, or an object without
    properties.
    """
    named = {name: {"type": kind} for name, kind in members.items()}
    return WithJsonSchema({"type": "object", "properties": named, "additionalProperties": True})
