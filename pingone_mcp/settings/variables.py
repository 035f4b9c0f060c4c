"""What a person has given as settings: under which name, where it stands, and what of it comes to nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pingone_mcp.advice import PREFIX, variable
from pingone_mcp.nearest import nearest
from pingone_mcp.settings.other_names import OTHER_NAMES, UNUSED
from pingone_mcp.settings.parts import region_code

_ALMOST = 0.85  # how alike a variable of another name in our file must be to have been meant for us
Variables = Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value as it was given: the variable, the file in which it stands (None: the environment), and what it says."""

    variable: str
    file: Path | None
    value: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.variable} {self.place}"

    @property
    def place(self) -> str:
        return "in the environment" if self.file is None else f"in the file {self.file}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllGiven:
    """What counts, by setting, and what a person should know of the rest. No value is in a note: it may be a secret."""

    counts: Mapping[str, Given]
    notes: tuple[str, ...]

    @property
    def values(self) -> dict[str, str]:
        return {setting: given.value for setting, given in self.counts.items()}


def all_given(
    environment: Variables, file: Variables, path: Path | None, known: Collection[str], others: Collection[str] = ()
) -> AllGiven:
    """Return what was given of the `known` settings, in variables without regard to case; `others` are settings too.

    The environment counts before the file, and a name of ours before those of Ping's tools, wherever they stand.
    """
    given = [*_of(environment, None), *_of(file, path)]
    ours = {variable(name): name for name in known}
    counts: dict[str, Given] = {}
    notes: list[str] = []
    for one in given:
        if (setting := ours.get(one.variable)) is not None:
            counts.setdefault(setting, one)
    for place in (None, path) if path is not None else (None,):
        there = {one.variable: one for one in given if one.file == place}
        for name, read in OTHER_NAMES.items():
            if name not in there:
                continue
            setting, value = read(there[name].value)
            other = Given(variable=name, file=place, value=value)
            winner = counts.setdefault(setting, other)
            if _meaning(setting, winner.value) != _meaning(setting, value):
                notes.append(f"{winner} counts; {other} says something else.")
    notes += [
        note for one in given if (note := _stray(one, {variable(name) for name in {*known, *others}})) is not None
    ]
    return AllGiven(counts=counts, notes=tuple(notes))


def _of(variables: Variables, path: Path | None) -> Iterator[Given]:
    for name, written in variables.items():
        if value := _bare(written or ""):
            yield Given(variable=name.upper(), file=path, value=value)


def _bare(value: str) -> str:
    """Return a value without what some shells and containers leave around it: blanks, a line's end, a pair of quotes.

    No setting begins or ends with any of these, PingOne's secrets included.
    """
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1].strip() if is_quoted else value


def _meaning(setting: str, value: str) -> str:
    """Return what two values have in common that say the same."""
    match setting:
        case "region":
            return region_code(value)
        case "client_secret":
            return value
    return value.strip().rstrip("/").casefold()


def _stray(one: Given, ours: Collection[str]) -> str | None:
    """Say of a variable that it is none of ours, where it was meant to be one; None of any other."""
    if one.variable in ours or one.variable in OTHER_NAMES or one.variable.startswith(UNUSED):
        return None
    if one.variable.startswith(PREFIX):
        known = {name.removeprefix(PREFIX): name for name in (*ours, *OTHER_NAMES) if name.startswith(PREFIX)}
        near = [known[name] for name in nearest(one.variable.removeprefix(PREFIX), known, most=1)]
    elif one.file is not None:  # which may be the file of other programs too
        near = nearest(one.variable, ours, most=1, alike=_ALMOST)
        if not near:
            return None
    else:
        return None
    hint = f"Did you mean {near[0]}?" if near else "It is left out."
    return f"{one} is no setting of pingone-mcp. {hint}"
