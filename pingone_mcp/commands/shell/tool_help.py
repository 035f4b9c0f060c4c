"""What a tool takes, for a person: its arguments with their types, what they mean, and what they are without a word."""

from __future__ import annotations

import json
import re
from typing import Any

from rich.console import Console
from rich.text import Text

from pingone_mcp.commands.verb import OfferedTool
from pingone_mcp.console import print_rows


def about(tool: OfferedTool) -> str:
    """Return what a tool does, in one sentence."""
    first = re.split(r"(?<=[a-z)])[.:] ", " ".join(tool.description.split()), maxsplit=1)[0].rstrip(".")
    return f"{first}."


def print_tool(out: Console, tool: OfferedTool) -> None:
    """Print a tool as --help does a command."""
    out.print(Text(f"usage: pingone-mcp call {tool.name} [key=value ...]\n", style="bold"))
    for paragraph in re.split(r"\n\s*\n", tool.description.strip()):
        out.print(Text(f"{' '.join(paragraph.split())}\n"))
    properties: dict[str, Any] = tool.parameters.get("properties", {})
    required = tool.parameters.get("required", ())
    out.print(Text("arguments:" if properties else "It takes no arguments.", style="bold"))
    print_rows(out, [(name, _told(schema, needed=name in required)) for name, schema in properties.items()], prose=True)


def _told(schema: dict[str, Any], *, needed: bool) -> str:
    kind = kind_of(schema)
    if needed:
        kind += "; required"
    elif schema.get("default") is not None:
        kind += f"; {_written(schema['default'])} by default"
    return " ".join(filter(None, (f"({kind})", schema.get("description"))))


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def kind_of(schema: dict[str, Any]) -> str:
    """Return the type of an argument in words, as it is written on the command line."""
    choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(choices) > 1:
        return " or ".join(dict.fromkeys(map(kind_of, choices)))
    if choices:
        return kind_of(choices[0])
    if "enum" in schema:
        return " | ".join(str(one) for one in schema["enum"] if one is not None)
    if "const" in schema:
        return str(schema["const"])
    match _plain_type(schema):
        case "integer" | "number" as kind:
            return f"{'whole number' if kind == 'integer' else 'number'}{_bounds(schema)}"
        case "boolean":
            return "true | false"
        case "array":
            inner = kind_of(schema.get("items", {}))
            return "list: a,b" if inner == "text" else f"list of {inner}"
        case "object":
            return "JSON object"
    return "text"


def _plain_type(schema: dict[str, Any]) -> str | None:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((str(one) for one in kind if one != "null"), None)
    return kind if isinstance(kind, str) else None


def _bounds(schema: dict[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least:,} to {most:,}"
    return f", {least:,} or more" if least is not None else ""
