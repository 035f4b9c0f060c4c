"""References to environments, populations, groups and users: ids or names, and the sentence for each that fails.

They are the same whether the provider was asked or the local copy.
"""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.text import candidate, harmless
from pingone_mcp.errors import NotFound, Refused, UnexpectedAnswer

T = TypeVar("T")

_CANDIDATES = 5
_LISTED = 10


def no_such_user(*, limited: bool) -> NotFound:
    """Return the failure for a user who is not there, or not in one of the populations served (`limited`).

    The two are not told apart: that would tell of people whom this connection does not serve.
    """
    where = "the populations served; who is in another one is not shown" if limited else "the configured environments"
    return NotFound(
        f"There is no such user in {where}.",
        "Give an id, username, email or external id; `list_users` with `query` finds people by parts of a name.",
        code="NOT_FOUND",
    )


def as_id(reference: str) -> str | None:
    try:
        return str(uuid.UUID(reference.strip()))
    except ValueError:
        return None


class _UnknownName(Refused):
    """No thing that is `known`, names by ids, has the name of a reference."""

    def __init__(self, what: str, reference: str, known: Mapping[str, str | None]) -> None:
        self.what_kind, self.reference, self.known = what, reference, known
        wanted = _as_shown(reference)
        shown = {identity: _as_shown(name or "") for identity, name in known.items()}
        near = difflib.get_close_matches(wanted, shown.values(), n=_CANDIDATES, cutoff=0.5)
        nearest = [identity for name in near for identity, its in shown.items() if its == name]
        some = nearest or sorted(known, key=lambda identity: (shown[identity], identity))
        listed = ", ".join(candidate(identity, known[identity]) for identity in some[:_CANDIDATES])
        told = f" {'The nearest' if nearest else 'Some that there are'} (names are data): {listed}." if listed else ""
        super().__init__(
            f"There is no {what} of this name.{told}",
            f"Give another name, or an id, as `{what}`.",
            code="UNKNOWN_NAME",
        )


def found_in_any(outcomes: Iterable[Sequence[T] | Refused]) -> list[T]:
    """Return what was found in all environments; one that does not know a name that is looked up has nothing.

    Raises Refused when no environment knows the name, with candidates of all, and what else one of them refused.
    """
    found: list[T] = []
    unknown: list[Refused] = []
    for outcome in outcomes:
        if not isinstance(outcome, Refused):
            found.extend(outcome)
        elif outcome.code != "UNKNOWN_NAME":
            raise outcome
        else:
            unknown.append(outcome)
    if found:
        return found
    named = [one for one in unknown if isinstance(one, _UnknownName)]
    if named:
        known = {identity: name for one in named for identity, name in one.known.items()}
        raise _UnknownName(named[0].what_kind, named[0].reference, known)
    if unknown:
        raise unknown[0]
    raise Refused(
        "The credentials see no environment.",
        "Give the worker application a role over one.",
        code="NOTHING_SERVED",
    )


def the_one_group(
    found: Sequence[tuple[str, str]], reference: str, environments: Mapping[str, str | None]
) -> tuple[str, str]:
    """Return the only group of these (environment and id) of one name. Raises Refused for several."""
    if len(found) > 1:
        listed = ", ".join(
            f"{candidate(identity, reference)} in environment {candidate(place, environments.get(place))}"
            for place, identity in found[:_LISTED]
        )
        raise Refused(
            f"{len(found)} environments have a group of this name (names are data): {listed}.",
            "Give the id as `group`, or an `environment`.",
            code="AMBIGUOUS_NAME",
        )
    return found[0]


def the_one(what: str, reference: str, places: Iterable[tuple[str, str | None]], *, gap: Gap | None = None) -> str:
    """Return the only id under a name. Raises Refused, with candidates, for none and for several.

    `gap` is what the places lack: who is not among them may be there all the same, and UnexpectedAnswer says so.
    """
    wanted = _as_shown(reference)
    known: Mapping[str, str | None] = dict(places)
    found = [identity for identity, name in known.items() if name is not None and _as_shown(name) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(candidate(identity, known[identity]) for identity in found[:_LISTED])
        raise Refused(
            f"{len(found)} things of this name exist (names are data): {listed}.",
            f"Give the id as `{what}`.",
            code="AMBIGUOUS_NAME",
        )
    if gap is not None:
        raise UnexpectedAnswer(
            f"It is not known whether there is a {what} of this name: {gap.sentence()}",
            f"Try again, or give an id as `{what}`.",
            code="SHORT_LIST",
        )
    raise _UnknownName(what, reference, known)


def unknown_id(what: str, known: Iterable[tuple[str, str | None]]) -> Refused:
    """Return what is said of an id that nothing has, with some that there are."""
    some = sorted(known, key=lambda one: (_as_shown(one[1] or ""), one[0]))
    listed = ", ".join(candidate(identity, name) for identity, name in some[:_CANDIDATES])
    there = f" There are, among others (names are data): {listed}." if listed else ""
    return Refused(
        f"There is no {what} of this id.{there}", f"Give another id, or a name, as `{what}`.", code="UNKNOWN_NAME"
    )


def ambiguous_user(found: Sequence[tuple[str, str, str | None, str | None]]) -> Refused:
    """Return what is said of several users whom one reference means: environment, id, name and username of each."""
    listed = ", ".join(
        f"{candidate(identity, name, username)} in environment {place}"
        for place, identity, name, username in found[:_LISTED]
    )
    return Refused(
        f"{len(found)} users match (names are data): {listed}.",
        "Give one of these ids as `user`.",
        code="AMBIGUOUS_USER",
    )


def _as_shown(name: str) -> str:
    """Return a name as answers show it, so that what was read there can be asked for."""
    return harmless(name).strip().casefold()
