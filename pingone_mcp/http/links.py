"""Links to a next page, as they came: followed letter by letter, and nowhere but below the API that they came from."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.http.upstream import Upstream

_SEGMENT = re.compile(r"[A-Za-z0-9._~:@$()-]+")


def next_link(upstream: Upstream, href: object, base: str, place: str) -> str:
    """Return a link as path and query below `base`, unchanged in its letters; it must lead below `base` + `place`.

    Raises UnexpectedAnswer when the link leads to another scheme, host, port, API base or place: the bearer token would
    go with it.
    """
    if not isinstance(href, str) or not _is_below(href, base, place, upstream.longest_link):
        raise UnexpectedAnswer(
            f"{upstream.name}'s answer links to a next page outside its own API, so it was not requested.",
            f"Check {upstream.urls[0]} and any proxy in between; the list is incomplete.",
            code="FOREIGN_LINK",
        )
    return href[len(base) :]


def _is_below(href: str, base: str, place: str, longest: int) -> bool:
    """Compare as text first, then as a URL: both readings must stay below the place. Ids may be in either case."""
    root = base + place
    same = href.startswith(base) and href[len(base) : len(root)].lower() == place.lower()
    if not same or len(href) > longest or not href.isprintable() or "\\" in href:
        return False
    try:
        link, own = urlsplit(href), urlsplit(root)
        port = link.port
    except ValueError:
        return False
    if (link.scheme, link.hostname, port) != (own.scheme, own.hostname, own.port) or "@" in link.netloc:
        return False
    segments = href[len(root) :].partition("?")[0].split("/")
    plain = all(_SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in segments if segment)
    return plain and "#" not in href
