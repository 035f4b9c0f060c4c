"""What may be typed, taken from the parser: for completions and the man page, so that neither says anything else."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One option (`flags`) or positional word: what it is given, what it may be, and what it is for."""

    flags: tuple[str, ...]
    given: str | None
    choices: tuple[str, ...]
    about: str
    is_needed: bool

    @property
    def is_file(self) -> bool:
        return self.given == "FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCommand:
    """One command, or the program itself: its line among the others, its whole text, and its arguments.

    `actions` are commands of its own, one of which is typed behind it.
    """

    name: str
    line: str
    description: str
    epilog: str
    arguments: tuple[Argument, ...]
    actions: tuple[ParsedCommand, ...] = ()

    @property
    def options(self) -> tuple[Argument, ...]:
        """Its options, and those of its actions."""
        every = (*self.arguments, *(argument for action in self.actions for argument in action.arguments))
        return tuple({argument.flags: argument for argument in reversed(every) if argument.flags}.values())[::-1]

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(flag for argument in self.options for flag in argument.flags if flag.startswith("--"))

    @property
    def words(self) -> tuple[str, ...]:
        """What may be typed in the place of positional words, as far as that is known."""
        chosen = (choice for argument in self.arguments if not argument.flags for choice in argument.choices)
        return (*chosen, *(action.name for action in self.actions))


def parsed(parser: argparse.ArgumentParser) -> tuple[ParsedCommand, tuple[ParsedCommand, ...]]:
    """Return the program itself and its commands."""
    own = _command("", "", parser)
    return dataclasses.replace(own, actions=()), own.actions


def _command(name: str, line: str, parser: argparse.ArgumentParser) -> ParsedCommand:
    return ParsedCommand(
        name=name,
        line=line,
        description=parser.description or "",
        epilog=parser.epilog or "",
        arguments=tuple(_arguments(parser)),
        actions=tuple(_actions(parser)),
    )


def _actions(parser: argparse.ArgumentParser) -> Iterator[ParsedCommand]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            lines = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001 - as above
            yield from (_command(name, lines[name], one) for name, one in action.choices.items())


def _arguments(parser: argparse.ArgumentParser) -> Iterator[Argument]:
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        choices = tuple(map(str, action.choices or ()))
        yield Argument(
            flags=tuple(action.option_strings),
            given=None if action.nargs == 0 else metavar,
            choices=choices,
            about=action.help or "",
            is_needed=action.required,
        )
