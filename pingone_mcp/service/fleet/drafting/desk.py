"""The desk where connections are linked step by step: enter values, hear what works, choose what is served, keep it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue, SecretStr

from pingone_mcp.errors import NoSuchConnection, Problem, Refused, Unconfigured
from pingone_mcp.service.checks import BrokenOff, KnownPlace, SeenPlace
from pingone_mcp.service.fleet.drafting.drafts import CheckedSteps, Chosen, Draft, Drafts
from pingone_mcp.service.fleet.drafting.linkers import Guest, Linker, NoInvitation, SignedIn
from pingone_mcp.service.fleet.linking import LONGEST_LABEL, CannotLink, Prepared, check_up

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.fleet.accounts import CallerAccounts
    from pingone_mcp.service.fleet.linking import Linking

ALL = "all"
"""What stands for all environments that credentials see, now and later."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What somebody enters, by the names of settings; of the sample company (`is_sample`) there is nothing to enter."""

    values: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue], repr=False)
    is_sample: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Environments to choose from, with their populations; `others` are populations that are served and not seen."""

    places: tuple[SeenPlace, ...]
    others: tuple[KnownPlace, ...] = ()


class LinkingDesk:
    """The use cases. Check-ups run in `tasks`, so that whoever leaves a page and comes back finds them where they are.

    `offers_sample`: the sample company can be linked too.
    """

    def __init__(
        self,
        control: ControlData,
        accounts: CallerAccounts,
        linking: Linking,
        tasks: TaskGroup,
        clock: Clock,
        *,
        offers_sample: bool = False,
    ) -> None:
        self._control, self._accounts, self._linking = control, accounts, linking
        self._tasks, self.offers_sample = tasks, offers_sample
        self.drafts = Drafts(clock)

    def guest(self, token: SecretStr) -> Guest:
        """Return the holder of a link token, whether or not it is good."""
        return Guest(self._control, self._linking, token)

    def signed_in(self, caller: Caller, connection: str | None = None) -> SignedIn:
        """Return a caller who adds a connection, or gives new values to one."""
        return SignedIn(self._accounts, self._linking, caller, connection)

    async def begin(self, linker: Linker, entered: Entered) -> Draft:
        """Begin to check what was entered. Raises Refused and Unconfigured for what can make no connection."""
        invitation = await linker.invitation()
        values: dict[str, JsonValue] = dict(entered.values)
        connection = invitation.connection
        if entered.is_sample:
            if not self.offers_sample:
                raise Refused("The sample company cannot be linked here.", "Link PingOne.", code="NO_SAMPLE")
            values = {"sandbox": True}
        else:
            self._linking.check_given(values, {} if connection is None else connection.settings)
        prepared = await self._linking.prepared(values, None if connection is None else connection.id)
        name = prepared.name if connection is None else connection.name
        draft = self.drafts.add(linker.owner, invitation, values, name)
        self._check(draft, prepared)
        return draft

    async def again(self, linker: Linker, draft: Draft) -> None:
        """Check a draft once more, unless that goes on already: somebody may have mended what was wrong."""
        await linker.invitation()
        if draft.checkup.has_ended and draft.linked is None:
            connection = draft.invitation.connection
            prepared = await self._linking.prepared(draft.values, None if connection is None else connection.id)
            self._check(draft, prepared)

    async def keep(self, linker: Linker, draft: Draft, chosen: Chosen) -> None:
        """Link what a draft describes, once it works so; where it does not, the draft says why.

        What has been linked already stays as it is. Raises NoInvitation, and NoSuchConnection.
        """
        async with draft.turn:
            if draft.linked is not None:
                return
            steps = CheckedSteps()
            draft.refused, draft.chosen = None, chosen
            try:
                values = {**draft.values, **self._scope(draft, chosen)}
                draft.linked = await linker.keep(draft.invitation, values, chosen.name, steps.hear)
            except (NoInvitation, NoSuchConnection):
                raise
            except CannotLink:
                steps.end(draft.checkup.places)
                draft.checkup = steps
            except (Refused, Unconfigured) as problem:
                draft.refused = f"{problem.what} {problem.next_step}".strip()
            else:
                draft.values = {}  # the secret is sealed now, and of no use here

    def name_of(self, draft: Draft) -> str:
        """Return what to call a connection where nobody says: as its environment is called, where that can be read."""
        environments, _ = scope_of(draft)
        names = {place.environment.id: place.environment.name for place in draft.checkup.places}
        return next(filter(None, map(names.get, environments)), draft.name)[:LONGEST_LABEL]

    def choices(self, draft: Draft) -> Choices:
        """Return what can be chosen from: what the credentials see, and what is served now, seen or not."""
        places = {place.environment.id: place for place in draft.checkup.places}
        environments, populations = scope_of(draft)
        for identity in environments:
            if identity != ALL:
                places.setdefault(identity, SeenPlace(environment=KnownPlace(identity), is_whole=False))
        seen = {one.id for place in places.values() for one in place.populations}
        unseen = tuple(KnownPlace(one) for one in populations if one not in seen)
        return Choices(places=tuple(places.values()), others=unseen)

    def _scope(self, draft: Draft, chosen: Chosen) -> dict[str, JsonValue]:
        """Return the settings of a choice. Raises Refused for one that is not there, or contradicts itself."""
        if chosen.environments is None:
            return {}
        choices = self.choices(draft)
        there = {place.environment.id for place in choices.places}
        within = {one.id: place.environment.id for place in choices.places for one in place.populations}
        others = {one.id for one in choices.others}
        environments = (ALL,) if ALL in chosen.environments else tuple(chosen.environments)
        if not environments:
            raise Refused("No environment was chosen.", "Choose one at least.", code="NOTHING_CHOSEN")
        if not {*environments} <= {*there, ALL} or not {*chosen.populations} <= {*within, *others}:
            raise Refused("Something was chosen that is not there.", "Choose again.", code="NOT_THERE")
        if ALL not in environments and any(
            within.get(one, environments[0]) not in environments for one in chosen.populations
        ):
            raise Refused(
                "A population was chosen of an environment that was not.",
                "Choose its environment too, or leave the population out.",
                code="OUTSIDE",
            )
        if (environments, tuple(chosen.populations)) == scope_of(draft):
            return {}
        return {"environments": list(environments), "populations": list(chosen.populations)}

    def _check(self, draft: Draft, prepared: Prepared) -> None:
        draft.checkup = CheckedSteps()
        draft.refused = None
        self._tasks.start_soon(self._checked, draft.checkup, prepared)

    async def _checked(self, steps: CheckedSteps, prepared: Prepared) -> None:
        places: tuple[SeenPlace, ...] = ()
        try:
            if not await check_up(prepared, steps.hear):
                places = await prepared.places()
        except (
            Problem
        ) as problem:  # what can be chosen from could not be read: what was entered can be kept all the same
            _logger.info("What the credentials of a new connection see could not be read: %s", problem)
        except Exception:
            _logger.exception("The check-up of a new connection met a mistake")
            steps.hear(BrokenOff(text="This went wrong here, and was logged. Try again."))
        finally:
            steps.end(places)


def scope_of(draft: Draft) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the environments and the populations that a draft serves; without any, the application's own one."""
    connection = draft.invitation.connection
    values = {**({} if connection is None else connection.settings), **draft.values}
    environments = _texts(values.get("environments"))
    home = values.get("environment_id")
    return environments or (_texts([home]) if home else ()), _texts(values.get("populations"))


def _texts(value: JsonValue) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
