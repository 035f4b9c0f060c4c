"""Which URLs may be requested with the connection's token: a pure decision on paths, before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pingone_mcp.errors import Refused, UnexpectedAnswer

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# One path segment as PingOne writes them: ids, words, `id:latest`, user names in no case.
_SEGMENT = re.compile(r"[A-Za-z0-9._~:@$()-]+")
_LONGEST = 6_000  # "Platform limits": request headers, the URL among them, at most 6 KB


@dataclass(frozen=True, slots=True)
class Fence:
    """The part of PingOne's API that a connection may reach: below `base`, inside the configured sets.

    `environments` None means every one that the credentials see; empty `populations` means all.
    """

    base: str
    environments: tuple[str, ...] | None
    populations: tuple[str, ...] = ()

    def url(self, path: str) -> str:
        """Return the URL of a path that came from outside, such as `/environments/{id}/users?limit=5`.

        Raises Refused before any request when the path leads anywhere else than into the configured directory.
        """
        if "://" in path or path.startswith("//") or "\\" in path:
            raise _refuse("`path` is below PingOne's API base: no host, no scheme.", "/environments/{id}/users")
        segments = _segments(path)
        match segments:
            case ["roles"] | ["roles", _]:
                pass
            case ["environments"]:
                if self.environments is not None:
                    raise _refuse("Listing all environments needs PINGONE_ENVIRONMENTS=all.", "/environments/{id}")
            case ["environments", environment, *rest]:
                self.check_environment(environment)
                self._check_rest(rest)
            case _:
                raise _refuse("This server reaches paths below /environments and /roles.", "/environments/{id}/users")
        return f"{self.base}/{path.strip().lstrip('/')}"

    def _check_rest(self, rest: list[str]) -> None:
        """Where populations are configured, let through only what names one of them, or the environment itself."""
        match rest:
            case ["populations", population, *_]:
                self.check_population(population)
            case [_, *_] if self.populations:
                raise Refused(
                    "This connection is limited to populations, and PingOne's own API keeps no such limit on this path.",
                    "Use the other tools, or a path below /environments/{id}/populations/{id}.",
                    code="OUTSIDE_CONFIGURATION",
                )

    def link(self, href: object, environment: str | None) -> str:
        """Return a `next` link as path and query below `base`, unchanged in its letters.

        Raises UnexpectedAnswer when the link leads to another scheme, host, port, API base or environment: the
        bearer token would go with it.
        """
        place = f"/environments/{environment}/" if environment else "/"
        if not isinstance(href, str) or not _same_place(href, self.base, place):
            raise UnexpectedAnswer(
                "PingOne's answer links to a next page outside its own API, so it was not requested.",
                "Check PINGONE_API_URL and any proxy in between; the list is incomplete.",
                code="FOREIGN_LINK",
            )
        return href[len(self.base) :]

    def check_environment(self, environment: str) -> None:
        """Raise Refused for an environment outside the configured ones."""
        if not _ID.fullmatch(environment):
            raise _refuse("The path does not name an environment by its id.", "/environments/{id}/users")
        if self.environments is not None and environment.lower() not in self.environments:
            raise Refused(
                "This environment is outside the configured ones, so nothing was requested.",
                "Configured: " + ", ".join(self.environments) + ". PINGONE_ENVIRONMENTS widens this.",
                code="OUTSIDE_CONFIGURATION",
            )

    def check_population(self, population: str) -> None:
        """Raise Refused for a population outside the configured ones."""
        if self.populations and population.lower() not in self.populations:
            raise Refused(
                "This population is outside the configured ones, so nothing was requested.",
                "Configured: " + ", ".join(self.populations) + ". PINGONE_POPULATIONS widens this.",
                code="OUTSIDE_CONFIGURATION",
            )


def _segments(path: str) -> list[str]:
    """Return the decoded segments of a path; refuse what a server may read in another way than we do."""
    text = path.strip()
    if len(text) > _LONGEST or not text.isprintable() or not text.isascii():
        raise _refuse("`path` is too long or holds characters that a URL cannot hold.", "/environments/{id}/users")
    bare, _, _ = text.partition("?")
    if "#" in text:
        raise _refuse("`path` holds a fragment (#).", "/environments/{id}/users")
    segments = [unquote(part) for part in bare.strip("/").split("/")]
    for segment in segments:
        if segment in ("", ".", "..") or not _SEGMENT.fullmatch(segment):
            raise _refuse("`path` holds an empty, relative or malformed segment.", "/environments/{id}/users")
    return segments


def _same_place(href: str, base: str, place: str) -> bool:
    """Compare as text first, then as a URL: both readings must stay below the place. Ids may be in either case."""
    root = base + place
    same = href.startswith(base) and href[len(base) : len(root)].lower() == place.lower()
    if not same or len(href) > 2 * _LONGEST or not href.isprintable() or "\\" in href:
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


def _refuse(what: str, example: str) -> Refused:
    return Refused(what, f"Give a path such as {example}. Nothing was requested.", code="PATH_REFUSED")
