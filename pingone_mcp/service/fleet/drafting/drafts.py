"""Drafts of connections: what somebody has entered, and what was found of it, in memory until it works and is kept."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from pydantic import JsonValue

from pingone_mcp.errors import Refused
from pingone_mcp.service.checks import SeenPlace, Step

if TYPE_CHECKING:
    from pingone_mcp.clock import Clock
    from pingone_mcp.control.linked import LinkedConnection

DRAFT_SECONDS = 30 * 60
_MOST = 1_000  # drafts at once; the oldest makes way
_MOST_OF_ONE = 8
_BYTES = 18


class NoDraft(Refused):
    """There is no such draft, or it is somebody else's."""

    def __init__(self) -> None:
        super().__init__(
            "What was entered here is not kept any more.", "Begin again; nothing was linked.", code="NO_DRAFT"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What somebody may link: a new connection of a tenant, or `connection`, which gets new values and keeps its id.

    `redirect_uri` is where they are led afterwards, where that is known.
    """

    tenant: str | None = None
    connection: LinkedConnection | None = None
    redirect_uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """How a connection is to be called (None: as it is), and what is to be served.

    `environments` are ids, or `all`; None leaves what is served as it is. No populations: everybody.
    """

    name: str | None = None
    environments: tuple[str, ...] | None = None
    populations: tuple[str, ...] = ()


class CheckedSteps:
    """A check-up that goes on, or has ended: its steps so far, and at its end what could be served."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.places: tuple[SeenPlace, ...] = ()
        self.has_ended = False
        self._news = anyio.Event()

    @property
    def works(self) -> bool:
        """Say whether it has ended, and all that is needed works."""
        return self.has_ended and bool(self.steps) and not any(step.needed and not step.ok for step in self.steps)

    def hear(self, step: Step) -> None:
        self.steps.append(step)
        self._tell()

    def end(self, places: tuple[SeenPlace, ...] = ()) -> None:
        self.places, self.has_ended = places, True
        self._tell()

    async def all(self) -> AsyncIterator[Step]:
        """Yield every step, each as it comes, to the end."""
        seen = 0
        while True:
            while seen < len(self.steps):
                yield self.steps[seen]
                seen += 1
            if self.has_ended:
                return
            await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


@dataclass(slots=True, kw_only=True)
class Draft:
    """What one person has entered. `linked` is the connection that came of it; from then on `values` are forgotten.

    `name` is what it is called where nobody says. `chosen` is what was wanted last, and `refused` says why that was not
    kept, where the check-up does not; with marks of settings.
    """

    id: str
    owner: str
    ends: float
    invitation: Invitation
    values: Mapping[str, JsonValue] = field(repr=False)
    name: str
    checkup: CheckedSteps = field(default_factory=CheckedSteps)
    chosen: Chosen | None = None
    linked: LinkedConnection | None = None
    refused: str | None = None
    turn: anyio.Lock = field(default_factory=anyio.Lock, repr=False)


class Drafts:
    """The drafts of one process, each found by its owner alone; they end with it, and half an hour after they began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._drafts: OrderedDict[str, Draft] = OrderedDict()

    def add(self, owner: str, invitation: Invitation, values: Mapping[str, JsonValue], name: str) -> Draft:
        """Keep a new draft; the oldest of the same owner makes way where there are many."""
        self._sweep()
        own = [one.id for one in self._drafts.values() if one.owner == owner]
        for surplus in own[: len(own) - _MOST_OF_ONE + 1] if len(own) >= _MOST_OF_ONE else ():
            del self._drafts[surplus]
        draft = Draft(
            id=secrets.token_urlsafe(_BYTES),
            owner=owner,
            ends=self._clock.monotonic() + DRAFT_SECONDS,
            invitation=invitation,
            values=values,
            name=name,
        )
        self._drafts[draft.id] = draft
        if len(self._drafts) > _MOST:
            self._drafts.popitem(last=False)
        return draft

    def find(self, owner: str, identity: str) -> Draft:
        """Return a draft of an owner. Raises NoDraft."""
        self._sweep()
        draft = self._drafts.get(identity)
        if draft is None or draft.owner != owner:
            raise NoDraft
        return draft

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        while self._drafts and (oldest := next(iter(self._drafts.values()))).ends <= now:
            del self._drafts[oldest.id]
