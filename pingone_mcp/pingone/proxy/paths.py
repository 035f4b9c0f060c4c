"""Which URLs may be requested with the connection's token: a pure decision on paths, before anything is sent.

The rules, each with the `code` of its refusal (docs/proxy.md explains them to people):

    path            PATH_REFUSED            a path below the API base, in segments that every server reads alike
    writes          WRITES_OFF              GET and HEAD only, unless the connection allows writes
    write path      PATH_REFUSED            a write is spelled as PingOne spells it: nothing encoded, no second reading
    write place     PATH_REFUSED            a write changes something inside one environment
    environment     OUTSIDE_CONFIGURATION   an environment that is served; below it everything may be read
    population      OUTSIDE_CONFIGURATION   where populations are configured: below one, or the environment itself
    environments    OUTSIDE_CONFIGURATION   what lists environments or organizations needs PINGONE_ENVIRONMENTS=all
    top level       PATH_REFUSED            outside environments: `TOP_LEVEL` alone
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from pingone_mcp.advice import setting
from pingone_mcp.directory.scope import Scope
from pingone_mcp.errors import Refused
from pingone_mcp.pingone.proxy import catalogue

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# One path segment as PingOne writes them: ids, words, `id:latest`, user names in no case.
_SEGMENT = re.compile(r"[A-Za-z0-9._~:@$()-]+")
# What lies below an environment but changes the environment itself: its end, its kind, its services.
_OF_ENVIRONMENT = frozenset({"status", "type", "billofmaterials"})
# One segment of a write, which has one reading: a server that decodes, folds case or cuts at a dot changes no letter.
_WRITTEN = re.compile(r"[A-Za-z0-9_-]+")
_VERSION = re.compile(r"^/?v1/")
_PLACEHOLDER = r"(?:\{\w{1,40}\}|%7[Bb]\w{1,40}%7[Dd])"
_OPEN_PLACE = re.compile(rf"^(/?environments/){_PLACEHOLDER}(?=[/?]|$)")
READS = frozenset({"GET", "HEAD"})
# What may be read outside environments, as the catalogue writes it: roles that everybody has, and organizations with
# their licences. None of it names an environment; licences count them (PingOne, "Licenses").
TOP_LEVEL = frozenset(
    {
        "/roles",
        "/roles/{roleID}",
        "/organizations",
        "/organizations/{organizationID}",
        "/organizations/{organizationID}/capabilities",
        "/organizations/{organizationID}/licenses",
        "/organizations/{organizationID}/licenses/{licenseID}",
        "/organizations/{organizationID}/licenses/{licenseID}/name",
        "/organizations/{organizationID}/licenses/{licenseID}/metrics/activeIdentityCounts",
    }
)
LONGEST = 6_000  # "Platform limits": request headers, the URL among them, at most 6 KB


@dataclass(frozen=True, slots=True)
class ProxyPaths:
    """The part of PingOne's API that a connection may reach: below `base`, inside its `scope`.

    `writes` lets other methods than GET and HEAD through, to places that may be read as well.
    """

    base: str
    scope: Scope
    writes: bool = False

    def url(self, path: str, method: str = "GET") -> str:
        """Return the URL of a path that came from outside, such as `/environments/{id}/users?limit=5`.

        Raises Refused before any request when the path leads anywhere else than into the configured directory.
        """
        if "://" in path or path.startswith("//") or "\\" in path:
            raise _refuse("`path` is below PingOne's API base: no host, no scheme.", "/environments/{id}/users")
        segments = _segments(path)
        if method not in READS:
            self._check_write(path, segments)
        match segments:
            case ["environments" | "organizations" as all_of] if self.scope.environments is not None:
                raise Refused(
                    f"Listing all {all_of} needs {setting('environments', 'all')}, so nothing was requested.",
                    "Give a path below one environment, such as /environments/{id}.",
                    code="OUTSIDE_CONFIGURATION",
                )
            case ["environments"]:
                pass
            case ["environments", environment, *rest]:
                self.scope.check_environment(environment)
                self._check_rest(rest)
            case _:
                self._check_top_level(segments)
        return f"{self.base}/{path.strip().lstrip('/')}"

    def completed(self, path: str) -> str:
        """Return a path as it was meant: `/v1` belongs to the API base; of one environment the place may be left open.

        `/environments/{id}/users` is such a path. Only the environment's place is filled, and only where exactly one is
        served; every other path is returned as it is.
        """
        path = _VERSION.sub("/", path.strip(), count=1)
        if self.scope.environments is None or len(self.scope.environments) != 1:
            return path
        return _OPEN_PLACE.sub(rf"\g<1>{self.scope.environments[0]}", path, count=1)

    def written(self, path: str) -> str:
        """Return the environment that a write to a path changes. Raises Refused for what may be read at most.

        A write stays below one environment, and changes something in it, not the environment itself.
        """
        self.url(path, "POST")
        return _segments(path)[1]

    def _check_write(self, path: str, segments: list[str]) -> None:
        if not self.writes:
            raise Refused(
                "This connection only reads (GET and HEAD), so nothing was requested.",
                f"The person who runs this server can allow writes with {setting('allow_writes')}.",
                code="WRITES_OFF",
            )
        if "%" in path.partition("?")[0] or not all(map(_WRITTEN.fullmatch, segments)):
            raise _refuse("A write has a path of plain letters, digits, - and _.", "/environments/{id}/users/{id}")
        if segments[0] != "environments" or len(segments) < 3 or _letters(segments[2]) in _OF_ENVIRONMENT:
            raise _refuse("Writes stay inside one environment.", "/environments/{id}/users/{id}")
        for segment in segments:
            spelled = segment.lower() if _ID.fullmatch(segment) else catalogue.spelling(segment)
            if segment != spelled:
                raise _refuse(f"PingOne writes `{spelled}` with other capitals.", "/environments/{id}/users/{id}")

    def _check_top_level(self, segments: list[str]) -> None:
        """Let through what is known, written down above, and says nothing beyond the configured populations."""
        known = catalogue.match("GET", segments)
        if known is None or known.path not in TOP_LEVEL or not _names_ids(known.path, segments):
            raise _refuse(
                "Outside environments this server reaches /roles and /organizations/{id} only.",
                "/environments/{id}/users",
            )
        if self.scope.populations and segments[0] != "roles":
            raise Refused(
                "This connection is limited to populations, and what an organization says goes beyond them.",
                "Use the other tools, or a path below /environments/{id}/populations/{id}. Nothing was requested.",
                code="OUTSIDE_CONFIGURATION",
            )

    def _check_rest(self, rest: list[str]) -> None:
        """Where populations are configured, let through only what names one of them, or the environment itself."""
        match rest:
            case ["populations", population, *_]:
                self.scope.check_population(population)
            case [_, *_] if self.scope.populations:
                raise Refused(
                    "This connection is limited to populations, and PingOne's own API keeps no such limit on this path.",
                    "Use the other tools, or a path below /environments/{id}/populations/{id}.",
                    code="OUTSIDE_CONFIGURATION",
                )


def _names_ids(template: str, segments: list[str]) -> bool:
    parts = template.strip("/").split("/")
    return all(_ID.fullmatch(segment) for part, segment in zip(parts, segments, strict=True) if part.startswith("{"))


def _letters(segment: str) -> str:
    return "".join(filter(str.isalpha, segment.casefold()))


def _segments(path: str) -> list[str]:
    """Return the decoded segments of a path; refuse what a server may read in another way than we do."""
    text = path.strip()
    if len(text) > LONGEST or not text.isprintable() or not text.isascii():
        raise _refuse("`path` is too long or holds characters that a URL cannot hold.", "/environments/{id}/users")
    bare, _, _ = text.partition("?")
    if "#" in text:
        raise _refuse("`path` holds a fragment (#).", "/environments/{id}/users")
    segments = [unquote(part) for part in bare.removeprefix("/").removesuffix("/").split("/")]
    for segment in segments:
        if re.fullmatch(r"\{\w{1,40}\}", segment):
            raise Refused(
                f"`path` has {segment} where an id belongs.",
                "describe_directory tells ids of environments and populations, the lists those of the rest. "
                "Nothing was requested.",
                code="PATH_REFUSED",
            )
        if segment in ("", ".", "..") or not _SEGMENT.fullmatch(segment):
            raise _refuse("`path` holds an empty, relative or malformed segment.", "/environments/{id}/users")
    return segments


def _refuse(what: str, example: str) -> Refused:
    return Refused(what, f"Give a path such as {example}. Nothing was requested.", code="PATH_REFUSED")
