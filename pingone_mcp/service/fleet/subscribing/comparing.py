"""What a provider was asked to send to a connection's hook, compared with what is needed: steps of a check-up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.advice import setting
from pingone_mcp.directory.text.harmless import candidate
from pingone_mcp.errors import NotPermitted, Problem
from pingone_mcp.service.fleet.subscribing.sentences import address_text, flaws_text, subscription_text

if TYPE_CHECKING:
    from pingone_mcp.directory.subscriptions import FoundSubscriptions, Subscriptions
    from pingone_mcp.directory.subscriptions import WantedSubscription as Wanted

_ENTER = "`pingone-mcp connections hook C` prints what to enter, and with --create makes or changes it."


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedHook:
    """A step of a check-up: nothing that is asked needs it, for events make a copy right sooner, and no more."""

    step: str
    ok: bool
    text: str
    needed: bool = False
    answered: bool = True
    signs_in: bool = False
    where: str = ""


async def compare_hooks(subscriptions: Subscriptions, wanted: Wanted) -> AsyncIterator[ComparedHook]:
    """Compare the subscriptions of each environment with what is wanted. Raises nothing of the provider's."""
    try:
        places = await subscriptions.places()
    except Problem as problem:
        yield ComparedHook(step="hook", ok=False, text=problem.text(setting))
        return
    for place in places:
        ok = False
        try:
            found = await subscriptions.find(place.id, wanted)
        except NotPermitted:
            text = (
                "It cannot be compared, because the worker application may not read the webhooks of this environment. "
                "Which roles let it is not documented; Environment Admin over the environment should."
            )
        except Problem as problem:
            text = f"It cannot be compared just now. {problem.text(setting)}"
        else:
            wrong = _wrong(found, wanted)
            ok, text = not wrong, " ".join([*wrong, _ENTER]) if wrong else _right(found)
        yield ComparedHook(step=f"hook of {candidate(place.id, place.name)}", ok=ok, text=text)


def _wrong(found: FoundSubscriptions, wanted: Wanted) -> list[str]:
    """Return what is not as it should be, in sentences."""
    said = [
        f"The webhook {subscription_text(one)} is not as it should be: {flaws_text(one.flaws)}."
        for one in found.here
        if one.flaws
    ]
    if found.here and not wanted.headers:
        said.append("A webhook leads here, but no secret was made for it, so that all it sends is refused.")
    if not found.here:
        said.append("No webhook of PingOne leads here.")
    elif len(found.here) > 1:
        several = ", ".join(map(subscription_text, found.here))
        said.append(f"{len(found.here)} webhooks lead here, and each sends every event: {several}. Leave one of them.")
    if found.elsewhere:
        others = ", ".join(f"{subscription_text(one)} to {address_text(one)}" for one in found.elsewhere)
        said.append(f"Another address than {wanted.url} has the same path in it: {others}. Remove what is not used.")
    return said


def _right(found: FoundSubscriptions) -> str:
    if any(one.hides_headers for one in found.here):
        return "PingOne sends its events here; it does not show whether the header is the right one"
    return "PingOne sends its events here, as it should"
