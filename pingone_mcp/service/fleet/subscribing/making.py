"""A hook is entered at the provider by us: planned for each environment, shown to a person, and then carried out.

Each request is a write as any other: by the switches of the connection, in its scope, and recorded (`service.writes`).
The person at the shell is the one who confirms it, once, with all of it in sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pingone_mcp.errors import NotPermitted, Problem, Refused, UpstreamProblem
from pingone_mcp.service.writes import Write, WriteRules

if TYPE_CHECKING:
    from pingone_mcp.directory.models import Organization
    from pingone_mcp.directory.native import NativeApi, ProxyQuestion
    from pingone_mcp.directory.subscriptions import (
        Flaw,
        FoundSubscription,
        FoundSubscriptions,
        Subscriptions,
        WantedSubscription,
    )
    from pingone_mcp.service.questions import Addressee

Deed = Literal["make", "change", "keep", "refuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedHook:
    """What is to be done in one environment.

    `found` is the subscription that there is, and `flaws` what is to be mended. `others` are ours too, and stay as they
    are: they lead here as well, or to another address. `problem` says why nothing can be done.
    """

    place: Organization
    deed: Deed
    found: FoundSubscription | None = None
    flaws: tuple[Flaw, ...] = ()
    others: tuple[FoundSubscription, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookOutcome:
    """What became of one environment; `problem` says why nothing was done, or that nobody knows."""

    planned: PlannedHook
    problem: Problem | None = None

    @property
    def is_unknown(self) -> bool:
        """Say whether nobody knows if it was done."""
        return isinstance(self.problem, UpstreamProblem) and self.problem.may_have_happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What writes of a connection take: the provider's API, the rules, and who has asked."""

    native: NativeApi
    rules: WriteRules
    addressee: Addressee


class HookPlan:
    """What is to be done in all environments, each by itself; `carry_out` does it, once a person has agreed."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        wanted: WantedSubscription,
        hooks: tuple[PlannedHook, ...],
        writes: dict[str, Write],
    ) -> None:
        self.wanted, self.hooks = wanted, hooks
        self._subscriptions, self._writes = subscriptions, writes

    @property
    def does_anything(self) -> bool:
        """Say whether there is something that a person has to agree to."""
        return bool(self._writes)

    async def carry_out(self) -> tuple[HookOutcome, ...]:
        """Do it, one environment after the other; what fails in one keeps nothing from being done in the next."""
        return tuple([HookOutcome(planned=one, problem=await self._carried_out(one)) for one in self.hooks])

    def not_carried_out(self) -> tuple[HookOutcome, ...]:
        """Return what became of each where nobody has agreed."""
        return tuple(HookOutcome(planned=one, problem=one.problem) for one in self.hooks)

    async def _carried_out(self, planned: PlannedHook) -> Problem | None:
        write = self._writes.get(planned.place.id)
        if write is None:
            return planned.problem
        try:
            await self._check_unchanged(planned)
            await write.perform()
        except NotPermitted as problem:
            return _may_not("make or change", problem)
        except Problem as problem:
            return problem
        return None

    async def _check_unchanged(self, planned: PlannedHook) -> None:
        """Raise Refused where others changed something while a person read: what they wrote is not overwritten."""
        found = await self._subscriptions.find(planned.place.id, self.wanted)
        if _planned(planned.place, found) != planned:
            raise Refused(
                "The webhooks of this environment were changed meanwhile, so none was made or changed.",
                "Run it again, and look at what it would do now.",
                code="CHANGED_MEANWHILE",
            )


async def plan_hooks(subscriptions: Subscriptions, wanted: WantedSubscription, writing: Writing) -> HookPlan:
    """Find out what is to be done in each environment; nothing is done yet. Raises Problem where they are unknown."""
    writes: dict[str, Write] = {}
    hooks: list[PlannedHook] = []
    for place in await subscriptions.places():
        try:
            found = await subscriptions.find(place.id, wanted)
            planned = _planned(place, found)
            if (question := _question(subscriptions, planned, wanted)) is not None:
                write = Write(writing.native, writing.rules, question, writing.addressee)
                await write.check()
                writes[place.id] = write
        except NotPermitted as problem:
            planned = PlannedHook(place=place, deed="refuse", problem=_may_not("read", problem))
        except Problem as problem:
            planned = PlannedHook(place=place, deed="refuse", problem=problem)
        hooks.append(planned)
    return HookPlan(subscriptions, wanted, tuple(hooks), writes)


def _planned(place: Organization, found: FoundSubscriptions) -> PlannedHook:
    """Say what is to be done where these are. Raises Refused where there is no room for one more."""
    if not found.here:
        if found.count >= found.most:
            raise Refused(
                f"This environment has {found.count} webhooks, as many as PingOne allows, so none was made.",
                "Remove one in PingOne, under Integrations > Webhooks.",
                code="TOO_MANY_WEBHOOKS",
            )
        return PlannedHook(place=place, deed="make", others=found.elsewhere)
    best = min(found.here, key=lambda one: len(one.flaws))
    others = (*(one for one in found.here if one is not best), *found.elsewhere)
    deed: Deed = "change" if best.flaws else "keep"
    return PlannedHook(place=place, deed=deed, found=best, flaws=best.flaws, others=others)


def _question(subscriptions: Subscriptions, planned: PlannedHook, wanted: WantedSubscription) -> ProxyQuestion | None:
    if planned.deed == "make":
        return subscriptions.creation(planned.place.id, wanted)
    if planned.deed == "change" and planned.found is not None:
        return subscriptions.correction(planned.place.id, planned.found, wanted)
    return None


def _may_not(do: str, problem: NotPermitted) -> Refused:
    return Refused(
        f"The worker application may not {do} the webhooks of this environment, so none was made or changed.",
        "Give it a role that may, such as Environment Admin over this environment, or enter in PingOne what "
        "`pingone-mcp connections hook C` prints.",
        code=problem.code,
        correlation_id=problem.correlation_id,
    )
