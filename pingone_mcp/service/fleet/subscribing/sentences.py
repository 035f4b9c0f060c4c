"""What is wrong with a subscription, in plain words; names of the provider stand in quotes, as data."""

from __future__ import annotations

from collections.abc import Iterable

from pingone_mcp.directory.subscriptions import Flaw, FoundSubscription
from pingone_mcp.directory.text.harmless import candidate, harmless

_LONGEST_URL = 200


def flaw_text(flaw: Flaw) -> str:
    """Return a part of a sentence about a subscription."""
    names = ", ".join(flaw.names)
    match flaw.kind:
        case "off":
            return "it is switched off, and PingOne keeps its events for two weeks at most"
        case "format":
            return f"its format is {harmless(names)[:_LONGEST_URL]}, which cannot be read here"
        case "certificates":
            return "it does not verify TLS certificates"
        case "no header":
            return f"it has no header {names}, so that all it sends is refused"
        case "other header":
            return f"its header {names} is another one than that of this hook"
        case "action types":
            return f"it lacks action types: {names}"
        case "narrowed":
            return f"it sends only what its filters of {names} let through"


def flaws_text(flaws: Iterable[Flaw]) -> str:
    return "; ".join(map(flaw_text, flaws))


def as_it_should_be(found: FoundSubscription | None) -> str:
    """Return a part of a sentence about a subscription without flaws, as far as it was shown."""
    if found is not None and found.hides_headers:
        return "as it should be, but PingOne does not show whether its header is the right one"
    return "as it should be"


def subscription_text(found: FoundSubscription) -> str:
    """Name a subscription."""
    return candidate(harmless(found.id)[:_LONGEST_URL], found.name)


def address_text(found: FoundSubscription) -> str:
    """Return where a subscription leads, as data."""
    return harmless(found.url)[:_LONGEST_URL]
