"""The questions of questions.toml and whole_directory.toml, asked through an MCP client.

`python -m tests.evals.replay --env-file my.env` asks the first of your own directory and prints question, calls and
answers; nothing is compared then. People and groups of the sample company do not exist there: change the file to your
own. `--whole-directory` asks the second of its local copy, which is brought up to date first; `--sample` asks them of
the sample company with 20,000 people, which needs no settings.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from pingone_mcp.errors import Unconfigured
from pingone_mcp.server.build import build_server
from pingone_mcp.service.connections import serve_one
from pingone_mcp.settings import Settings
from pingone_mcp.wiring import open_configured

QUESTIONS = Path(__file__).with_name("questions.toml")
WHOLE = Path(__file__).with_name("whole_directory.toml")
TO_THE_END = "to the end"
_SHOWN = 1_500  # characters of one answer that are printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody asks, the calls that answer it, and what they find on the sample company.

    `facts` maps paths into the answers to values; `refused` is the code with which the last call is refused.
    """

    id: str
    asked_by: str
    ask: str
    calls: tuple[tuple[Any, ...], ...]
    answer: str
    everywhere: bool = False
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    refused: str | None = None


class NothingThere(LookupError):
    """A path leads to nothing in the answers so far."""


def questions(path: Path = QUESTIONS) -> list[Question]:
    """Read the file. Raises TypeError for a question that has other members than the ones above."""
    told = tomllib.loads(path.read_text(encoding="utf-8"))["question"]
    return [Question(**one | {"calls": tuple(tuple(call) for call in one["calls"])}) for one in told]


async def asked(client: Client, question: Question) -> list[Any]:
    """Return what each call answers, the text of its error where it is refused."""
    answers: list[Any] = []
    for tool, arguments, *rest in question.calls:
        answers.append(await called(client, tool, filled(arguments, answers), whole=TO_THE_END in rest))
    return answers


async def called(client: Client, tool: str, arguments: dict[str, Any], *, whole: bool = False) -> Any:
    """Return what a tool answers (with `whole`: all its pages as one), the text of its error where it is refused."""
    rows: list[Any] = []
    while True:
        result = await client.call_tool(tool, arguments)
        facts = result.structured_content
        if result.is_error or facts is None:
            return "".join(block.text for block in result.content if block.type == "text")
        rows += facts.get("result", [])
        if not (whole and facts.get("next_cursor")):
            return facts | {"result": rows} if "result" in facts else facts
        arguments = arguments | {"cursor": facts["next_cursor"]}


# Paths: $1.result[0].id is a value of the first answer, $1.result.id that of every row, [name] keeps the rows that
# have it, [!name] those without, [name=text] those where it is (or holds) the text.
_STEP = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|\[(?P<absent>!)?(?P<has>\w+)(?:=(?P<text>[^\]]*))?\]")
_WORDS: dict[str, Callable[[Any], Any]] = {"count": len, "sorted": sorted}
_REFERENCE = re.compile(r"\$(\d+)((?:\.\w+|\[[^\]]*\])*)")


def filled(value: Any, answers: Sequence[Any]) -> Any:
    """Return arguments with every reference to an earlier answer replaced; inside a text it stands in braces."""
    match value:
        case str() if _REFERENCE.fullmatch(value):
            return at(value, answers)
        case str():
            return re.sub(r"\{(\$[^}]+)\}", lambda found: str(at(found[1], answers)), value)
        case list():
            return [filled(item, answers) for item in value]
        case dict():
            return {key: filled(member, answers) for key, member in value.items()}
        case _:
            return value


def at(path: str, answers: Sequence[Any]) -> Any:
    """Return what a path leads to; `count $1.result` counts it, `sorted` orders it. Raises NothingThere."""
    first, _, rest = path.partition(" ")
    word = first if first in _WORDS else None
    reference = _REFERENCE.fullmatch(rest if word else path)
    if reference is None:
        raise ValueError(f"{path} is no path")
    try:
        value = answers[int(reference[1]) - 1]
        for step in _STEP.finditer(reference[2]):
            value = _further(value, step)
    except (KeyError, IndexError, TypeError):
        raise NothingThere(path) from None
    return _WORDS[word](value) if word else value


def _further(value: Any, step: re.Match[str]) -> Any:
    if name := step["name"]:
        return [row[name] for row in value if name in row] if isinstance(value, list) else value[name]
    if step["index"]:
        return value[int(step["index"])]
    return [row for row in value if _keeps(row, step)]


def _keeps(row: dict[str, Any], step: re.Match[str]) -> bool:
    value, text = row.get(step["has"]), step["text"]
    if text is None:
        return (value is not None) != bool(step["absent"])
    return text in value if isinstance(value, list) else str(value) == text


# For people


async def replay(client: Client, asking: Sequence[Question]) -> None:
    """Ask, and print what is asked and answered."""
    for number, question in enumerate(asking, 1):
        _say(f"\n{number}. {question.ask} ({question.asked_by})")
        answers: list[Any] = []
        try:
            for tool, arguments, *rest in question.calls:
                given = filled(arguments, answers)
                _say(f"   {tool} {json.dumps(given, ensure_ascii=False)} {' '.join(rest)}".rstrip())
                answers.append(await called(client, tool, given, whole=TO_THE_END in rest))
                _say(f"   = {_shortened(answers[-1])}")
        except NothingThere as nothing:
            _say(f"   not asked: there is nothing at {nothing}")


async def ask_your_own(env_file: Path | None, path: Path) -> None:
    """Ask the configured directory. The server is built without writes, whatever the settings allow."""
    async with Client(
        build_server(functools.partial(serve_one, functools.partial(open_configured, env_file)))
    ) as client:
        while path == WHOLE:
            told = await called(client, "sync_directory", {})
            _say(f"sync_directory = {_shortened(told)}")
            if isinstance(told, str) or told["state"] != "running":
                break
        await replay(client, questions(path))


async def ask_the_sample() -> None:
    """Ask the sample company, after two syncs with a week between them."""
    from tests.evals.company import a_week_passes, company, synced

    with tempfile.TemporaryDirectory() as cache:
        world = company(Path(cache))
        await synced(world, "full")
        await a_week_passes(world)
        await synced(world, "incremental")
        async with world.client() as client:
            await replay(client, questions(WHOLE))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _shortened(answer: Any) -> str:
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evals.replay", description=__doc__)
    parser.add_argument("--env-file", type=Path, metavar="FILE", help="read PINGONE_* variables from this file")
    parser.add_argument("--whole-directory", action="store_true", help="ask the local copy, after a sync")
    parser.add_argument("--sample", action="store_true", help="ask the local copy of the sample company")
    given = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names are in all the world's letters
    asking = functools.partial(ask_your_own, given.env_file, WHOLE if given.whole_directory else QUESTIONS)
    if not given.sample:
        try:
            Settings.load(given.env_file)
        except Unconfigured as problem:
            sys.stderr.write(f"{problem}\n")
            return 2
    try:
        anyio.run(ask_the_sample if given.sample else asking)
    except* BrokenPipeError:  # whoever read the output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
