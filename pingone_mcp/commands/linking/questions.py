"""Questions to a person who links a connection: one for each value, asked again where the answer cannot be right."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Mapping

from pingone_mcp.commands.ending import WrongUse
from pingone_mcp.console import say
from pingone_mcp.interrupts import asking_a_person

_QUESTIONS = {
    "region": "Region (NA CA EU AU SG AP) [NA]: ",
    "environment_id": "Environment id: ",
    "client_id": "Client id: ",
    "client_secret": "Client secret (not shown): ",
}
_OTHERWISE = {"region": "NA"}
_SECRET = "client_secret"  # noqa: S105 - the name of a setting

Wrong = Callable[[str, str], str | None]
"""Says what is wrong with the value of a setting, if anything is."""


def asked(wrong: Wrong, *, with_name: bool) -> tuple[Mapping[str, str], str | None]:
    """Return the values of a connection by setting, and what it is to be called, where that is asked and answered.

    Raises KeyboardInterrupt for Ctrl-C, and WrongUse where the input ends.
    """
    say("The values stand in PingOne's console: Applications, the worker application, Overview.", stderr=True)
    try:
        with asking_a_person():  # which leaves the terminal as it was
            values = {name: _answer(name, wrong) for name in _QUESTIONS}
            name = _line("Name of this connection [the beginning of the environment id]: ") if with_name else ""
    except EOFError:
        say("", stderr=True)
        raise WrongUse("The input ended before everything was answered.", "Nothing was kept.") from None
    return values, name or None


def _answer(name: str, wrong: Wrong) -> str:
    """Ask until the answer may be right."""
    while True:
        if name == _SECRET:
            given = getpass.getpass(_QUESTIONS[name], stream=sys.stderr).strip()
        else:
            given = _line(_QUESTIONS[name]) or _OTHERWISE.get(name, "")
        complaint = wrong(name, given)
        if complaint is None:
            return given
        say(f"  That cannot be right: {complaint}.", stderr=True)


def _line(question: str) -> str:
    say(question, stderr=True, end="")
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip()
