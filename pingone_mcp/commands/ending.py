"""How a command ends: exit statuses, and the failure that says that it was not used as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pingone_mcp.errors import NoReplica, NotFound, Problem, Refused

OK, FAILED, MISCONFIGURED, UNCHECKED = 0, 1, 2, 3
# What a comparison ends with when it has found something, like diff and grep do it the other way round.
FOUND = 1


class WrongUse(Problem):
    """The command line asks for something that does not exist, or does not say it as it should."""


@contextmanager
def asking() -> Iterator[None]:
    """Raise WrongUse for what is refused, or not there, of what was asked for: it is a mistake of the one who asked.

    That there is no local copy is none: it stays as it is.
    """
    try:
        yield
    except NoReplica:
        raise
    except (Refused, NotFound) as problem:
        raise WrongUse(problem.what, problem.next_step, code=problem.code) from None


def verdict(found: object, gaps: object) -> int:
    """Return the status of a comparison: that nothing was found proves nothing where something could not be read."""
    if found:
        return FOUND
    return UNCHECKED if gaps else OK
