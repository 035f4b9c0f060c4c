"""Where a form leads back to: the page that it was sent from, of those that have such forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pingone_mcp.web.pages.page import LeadsTo
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from pingone_mcp.web.pages.page import Visit

FRONT, ATTENTION = "front", "attention"
"""What a form says in its field `back`; nothing stands for the settings."""


def back(visit: Visit, said: str, section: str = "") -> LeadsTo:
    """Return where a form leads to when it was done, and what is said there; `section` is that of the settings."""
    match visit.entered("back"):
        case "front":
            return LeadsTo(path="/", said=said)
        case "attention" if visit.linked is not None:
            return LeadsTo(path=path_in(visit.linked.id, "attention"), said=said)
        case _ if visit.linked is not None:
            return LeadsTo(path=path_in(visit.linked.id, "settings") + (f"#{section}" if section else ""), said=said)
        case _:
            return LeadsTo(path="/", said=said)
