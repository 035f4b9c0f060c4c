"""The prompts: texts in `prompts/*.md`, with TOML front matter between lines of `+++`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import PromptArgument

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.directory.text.moments import span
from pingone_mcp.service.connections import ServedConnection
from pingone_mcp.shipped_files import shipped_folder

_SLOT = re.compile(r"\{\{(\w+)\}\}")
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptText:
    """One prompt file. `arguments` maps names to their description and whether they are required.

    Those in `times` may also say how long ago (7d), which is filled in as a time.
    """

    name: str
    title: str
    description: str
    arguments: dict[str, tuple[str, bool]]
    body: str
    times: frozenset[str] = frozenset()

    def filled(self, values: dict[str, str], now: datetime) -> str:
        """Return the text with each slot filled: values are fenced as data, absent ones say so."""

        def value(slot: re.Match[str]) -> str:
            name = slot.group(1)
            given = values.get(name, "")
            ago = span(given) if name in self.times else None
            return _fenced(given if ago is None else timestamp(now - ago))

        return _SLOT.sub(value, self.body)


def parse(name: str, text: str) -> PromptText:
    """Return the prompt that a file states. Raises ValueError when its front matter is not of the form above."""
    _, front, body = text.split("+++", 2)
    head = tomllib.loads(front)
    if absent := {"title", "description"} - head.keys():
        raise ValueError(f"{name}: the front matter has no {' and no '.join(sorted(absent))}")
    arguments = {
        argument: (str(about.get("description", "")), bool(about.get("required", False)))
        for argument, about in head.get("arguments", {}).items()
    }
    return PromptText(
        name=name,
        title=head["title"],
        description=head["description"],
        arguments=arguments,
        body=body.strip(),
        times=frozenset(argument for argument, about in head.get("arguments", {}).items() if about.get("time")),
    )


def prompt_texts() -> list[PromptText]:
    """Return all prompts, by name."""
    files = (file for file in shipped_folder("prompts").iterdir() if file.name.endswith(".md"))
    return [
        parse(file.name.removesuffix(".md"), file.read_text("utf-8")) for file in sorted(files, key=lambda f: f.name)
    ]


def add_prompts(server: MCPServer[ServedConnection]) -> None:
    for text in prompt_texts():
        server.add_prompt(_prompt(text))


def _prompt(text: PromptText) -> Prompt:
    def render(**values: str) -> str:
        return text.filled(values, datetime.now(UTC))

    arguments = [
        PromptArgument(name=name, description=description, required=required)
        for name, (description, required) in text.arguments.items()
    ]
    return Prompt(name=text.name, title=text.title, description=text.description, arguments=arguments, fn=render)


def _fenced(value: str) -> str:
    """Return a value as one quoted line of data; it cannot close its own quotes."""
    text = harmless(value).replace("`", "'").strip()[:_LONGEST]
    return f"`{text}`" if text else "(not given)"
