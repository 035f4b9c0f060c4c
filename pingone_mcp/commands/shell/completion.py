"""`pingone-mcp completion`: what makes a shell complete commands, options and what they take."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from pingone_mcp.commands.ending import OK
from pingone_mcp.commands.shell.parsed import Argument, ParsedCommand, parsed
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.console import say


def words_of(command: ParsedCommand, tools: Sequence[str]) -> list[str]:
    """Return what may be typed behind a command."""
    return [*command.words, *(tools if command.name == "call" else ()), *command.flags]


def in_bash(own: ParsedCommand, commands: Sequence[ParsedCommand], tools: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a script for bash."""
    names = [command.name for command in commands]
    yield "# bash completion of pingone-mcp"
    yield "_pingone_mcp() {"
    yield "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= words= word"
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield f"        case $word in {'|'.join(names)}) command=$word; break ;; esac"
    yield "    done"
    yield '    case "$command $before" in'
    for pattern, argument in _valued(own, commands):
        found = f'-W "{" ".join(argument.choices)}"'
        if not argument.choices:
            found = "-f" if argument.is_file else '-W ""'
        yield f'        {pattern}) COMPREPLY=($(compgen {found} -- "$current")); return ;;'
    yield "    esac"
    yield "    case $command in"
    yield f'        "") words="{" ".join([*names, *own.flags])}" ;;'
    for command in commands:
        yield f'        {command.name}) words="{" ".join(words_of(command, tools))}" ;;'
    yield "    esac"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield "}"
    yield "complete -o default -F _pingone_mcp pingone-mcp"


def in_zsh(own: ParsedCommand, commands: Sequence[ParsedCommand], tools: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a script for zsh."""
    yield "#compdef pingone-mcp"
    yield "_pingone_mcp() {"
    yield "    local command= word"
    yield "    local -a found"
    yield '    for word in "${(@)words[2,CURRENT-1]}"; do'
    yield f"        case $word in {'|'.join(command.name for command in commands)}) command=$word; break ;; esac"
    yield "    done"
    yield '    case "$command ${words[CURRENT-1]}" in'
    for pattern, argument in _valued(own, commands):
        if argument.choices:
            act = f"compadd -- {' '.join(argument.choices)}"
        else:
            act = "_files" if argument.is_file else "_message value"
        yield f"        {pattern}) {act}; return ;;"
    yield "    esac"
    yield "    case $command in"
    yield f'        "") found=({" ".join(_described(own, commands))}) ;;'
    for command in commands:
        yield f"        {command.name}) found=({' '.join(_described_words(command, tools))}) ;;"
    yield "    esac"
    yield "    _describe word found || _files"
    yield "}"
    yield 'if [ "$funcstack[1]" = _pingone_mcp ]; then _pingone_mcp "$@"; else compdef _pingone_mcp pingone-mcp; fi'


def in_fish(own: ParsedCommand, commands: Sequence[ParsedCommand], tools: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a script for fish."""
    yield "# fish completion of pingone-mcp"
    for command in commands:
        about = shlex.quote(command.line)
        yield f"complete -c pingone-mcp -f -n __fish_use_subcommand -a {command.name} -d {about}"
    for argument in own.arguments:
        yield from _fish_option("", argument)
    for command in commands:
        seen = f"-n '__fish_seen_subcommand_from {command.name}'"
        if words := [word for word in words_of(command, tools) if not word.startswith("-")]:
            yield f"complete -c pingone-mcp -f {seen} -a {shlex.quote(' '.join(words))}"
        for argument in command.options:
            yield from _fish_option(seen, argument)


def _fish_option(seen: str, argument: Argument) -> Iterator[str]:
    for flag in argument.flags:
        if flag.startswith("--"):
            takes = "" if argument.given is None else " -r" if argument.is_file or not argument.choices else " -x"
            choices = f" -a {shlex.quote(' '.join(argument.choices))}" if argument.choices else ""
            about = shlex.quote(argument.about)
            yield " ".join(f"complete -c pingone-mcp {seen} -l {flag[2:]}{takes}{choices} -d {about}".split(" "))


def _valued(own: ParsedCommand, commands: Sequence[ParsedCommand]) -> Iterator[tuple[str, Argument]]:
    """Give the options that take a value, each behind the pattern of its command and flags; those of all at the end."""
    anywhere = {argument.flags for argument in own.arguments}
    for command in (*commands, own):
        for argument in command.options:
            if argument.flags and argument.given is not None and (command is own or argument.flags not in anywhere):
                before = f'"{command.name} "' if command.name else "*' '"
                yield "|".join(f"{before}{flag}" for flag in argument.flags), argument


def _described(own: ParsedCommand, commands: Sequence[ParsedCommand]) -> Iterator[str]:
    for command in commands:
        yield _entry(command.name, command.line)
    yield from _options(own)


def _described_words(command: ParsedCommand, tools: Sequence[str]) -> Iterator[str]:
    for word in words_of(command, tools):
        if not word.startswith("-"):
            yield shlex.quote(word)
    yield from _options(command)


def _options(command: ParsedCommand) -> Iterator[str]:
    for argument in command.options:
        for flag in argument.flags:
            if flag.startswith("--"):
                yield _entry(flag, argument.about)


def _entry(word: str, about: str) -> str:
    return shlex.quote(f"{word}:{about}")


Script = Callable[[ParsedCommand, Sequence[ParsedCommand], Sequence[str]], Iterator[str]]
SCRIPTS: Mapping[str, Script] = MappingProxyType({"bash": in_bash, "zsh": in_zsh, "fish": in_fish})


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=tuple(SCRIPTS), metavar="SHELL", help=", ".join(SCRIPTS))


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    own, commands = parsed(doors.parser())
    say("\n".join(SCRIPTS[given.shell](own, commands, [tool.name for tool in doors.tools()])))
    return OK


VERB = Verb(
    name="completion",
    text="""\
Print what makes a shell complete commands, options, tools and files. Nothing is installed.

examples:
  pingone-mcp completion bash > ~/.local/share/bash-completion/completions/pingone-mcp
  pingone-mcp completion zsh > ~/.zfunc/_pingone-mcp        (a folder of $fpath)
  pingone-mcp completion fish > ~/.config/fish/completions/pingone-mcp.fish""",
    add=_add,
    run=_run,
)
