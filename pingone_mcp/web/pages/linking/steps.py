"""The steps of linking a connection, whoever takes them: enter, see what works, choose what is served, be done."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from pingone_mcp.errors import Refused, Unconfigured
from pingone_mcp.service.fleet.drafting.desk import ALL, Entered, scope_of
from pingone_mcp.service.fleet.drafting.drafts import Chosen, Draft, NoDraft
from pingone_mcp.service.fleet.drafting.linkers import NoInvitation
from pingone_mcp.web.pages.linking.fields import REGIONS, as_settings, entered, in_fields, shown, wrong_fields
from pingone_mcp.web.pages.linking.outcomes import succeeded
from pingone_mcp.web.pages.page import LeadsTo, PageView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import FormData

    from pingone_mcp.service.fleet.drafting.desk import LinkingDesk
    from pingone_mcp.service.fleet.drafting.drafts import Invitation
    from pingone_mcp.service.fleet.drafting.linkers import Linker


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where somebody stands: who it is, at which pages (`root`, and the `query` that all of them have).

    `csrf` is what their forms hold. A guest has no other pages. `offers` are the providers that may be chosen from.
    """

    linker: Linker
    root: str
    csrf: str = field(repr=False)
    query: str = field(default="", repr=False)
    is_guest: bool = False
    offers: frozenset[str] = frozenset({"pingone"})

    def path(self, *more: str) -> str:
        return "/".join([self.root, *more]) + self.query


class LinkSteps:
    """The pages and forms, over the use cases."""

    def __init__(self, desk: LinkingDesk) -> None:
        self._desk = desk

    async def enter(self, stand: Stand, draft: str | None) -> PageView:
        """Show the form; what was entered in a draft stands in it again, but for the secret."""
        invitation = await stand.linker.invitation()
        values = shown({} if invitation.connection is None else invitation.connection.settings)
        if draft:
            with suppress(NoDraft):
                values |= shown(self._desk.drafts.find(stand.linker.owner, draft).values)
        return self._form(stand, invitation, values)

    async def entered(self, stand: Stand, form: FormData) -> PageView | LeadsTo:
        """Take what was entered; where that may be right, lead to its check-up."""
        invitation = await stand.linker.invitation()
        if form.get("provider") == "sample":
            draft = await self._desk.begin(stand.linker, Entered(is_sample=True))
            return LeadsTo(path=stand.path(draft.id))
        values = entered(form)
        if wrong := wrong_fields(values):
            return self._form(stand, invitation, shown(values), wrong)
        present = {} if invitation.connection is None else invitation.connection.settings
        given = Entered(values=as_settings(values, present))
        try:
            draft = await self._desk.begin(stand.linker, given)
        except NoInvitation:
            raise
        except (Refused, Unconfigured) as problem:
            return self._form(stand, invitation, shown(values), why=in_fields(f"{problem.what} {problem.next_step}"))
        return LeadsTo(path=stand.path(draft.id))

    async def draft(self, stand: Stand, identity: str) -> PageView | LeadsTo:
        """Show what works, step by step as it is found, and what there is to choose from; or that it is done."""
        draft = self._desk.drafts.find(stand.linker.owner, identity)
        if draft.linked is None:
            await stand.linker.invitation()
            return PageView(template="linking/check.html", values=self._checking(stand, draft), streamed=True)
        if not stand.is_guest:
            return LeadsTo(path="/")
        outcome = succeeded(draft.linked.id, draft.invitation.redirect_uri)
        values = {"heading": "Connected", "outcome": outcome, "linked": draft.linked, "was": draft.invitation}
        return PageView(template="linking/done.html", values=values)

    async def again(self, stand: Stand, identity: str) -> LeadsTo:
        """Check once more."""
        draft = self._desk.drafts.find(stand.linker.owner, identity)
        await self._desk.again(stand.linker, draft)
        return LeadsTo(path=stand.path(draft.id))

    async def keep(self, stand: Stand, identity: str, form: FormData) -> LeadsTo:
        """Link what was checked, as it was chosen."""
        draft = self._desk.drafts.find(stand.linker.owner, identity)
        was_linked = draft.linked is not None
        await self._desk.keep(stand.linker, draft, _chosen(form))
        said = None
        if draft.linked is not None and not was_linked:
            said = f"{draft.linked.name} is connected. Its directory is being read."
        return LeadsTo(path=stand.path(draft.id), said=said)

    def _form(
        self,
        stand: Stand,
        invitation: Invitation,
        values: Mapping[str, str],
        wrong: Mapping[str, str] | None = None,
        why: str | None = None,
    ) -> PageView:
        is_wrong = bool(wrong or why)
        shows: dict[str, object] = {
            "stand": stand,
            "invitation": invitation,
            "values": values,
            "wrong": wrong or {},
            "why": why,
            "regions": REGIONS,
            "with_sample": self._desk.offers_sample and "sample" in stand.offers and invitation.connection is None,
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if is_wrong else HTTPStatus.OK
        return PageView(template="linking/enter.html", values=shows, status=status)

    def _checking(self, stand: Stand, draft: Draft) -> dict[str, object]:
        environments, populations = scope_of(draft)
        chosen = draft.chosen
        if chosen is not None and chosen.environments is not None:
            environments, populations = chosen.environments, chosen.populations
        return {
            "stand": stand,
            "draft": draft,
            "checkup": draft.checkup,
            "choices_of": lambda: self._desk.choices(draft),
            "is_sample": bool(draft.values.get("sandbox")),
            "environments": environments,
            "populations": populations,
            "name_of": lambda: chosen.name if chosen is not None and chosen.name else self._desk.name_of(draft),
            "why": None if draft.refused is None else in_fields(draft.refused),
            "in_fields": in_fields,
            "ALL": ALL,
        }


def _chosen(form: FormData) -> Chosen:
    name = form.get("name")
    named = name.strip() or None if isinstance(name, str) else None
    if "scope" not in form:
        return Chosen(name=named)
    environments, populations = (
        tuple(dict.fromkeys(one for one in form.getlist(kind) if isinstance(one, str)))
        for kind in ("environments", "populations")
    )
    return Chosen(name=named, environments=environments, populations=populations)
