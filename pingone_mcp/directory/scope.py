"""What part of a directory is served: environments, and populations in them. Decided here, before any request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pingone_mcp.advice import setting
from pingone_mcp.errors import Refused

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of a directory that one connection serves, by ids in small letters.

    `environments` None means every one that the credentials see; empty `populations` means all of them.
    """

    environments: tuple[str, ...] | None = None
    populations: tuple[str, ...] = ()

    @property
    def has_several_environments(self) -> bool:
        return self.environments is None or len(self.environments) > 1

    def has_population(self, population: str | None) -> bool:
        """Say whether a population (None: not known) is served."""
        return not self.populations or population in self.populations

    def has_user_of(self, populations: Iterable[str]) -> bool:
        """Say whether a user who is in these populations is served."""
        return not self.populations or any(population in self.populations for population in populations)

    def has_group_of(self, population: str | None) -> bool:
        """Say whether a group is served: one of an environment as a whole (None) is, though its members may not be."""
        return population is None or self.has_population(population)

    def check_environment(self, environment: str) -> None:
        """Raise Refused for an environment outside the configured ones, or a text that is no id of one."""
        if not _ID.fullmatch(environment):
            places = f" Configured: {', '.join(self.environments)}." if self.environments else ""
            raise Refused(
                f"The path does not name an environment by its id.{places}",
                "Give a path such as /environments/{id}/users. Nothing was requested.",
                code="PATH_REFUSED",
            )
        if self.environments is not None and environment.lower() not in self.environments:
            raise Refused(
                "This environment is outside the configured ones, so nothing was requested.",
                "Configured: " + ", ".join(self.environments) + f". {setting('environments')} widens this.",
                code="OUTSIDE_CONFIGURATION",
            )

    def check_population(self, population: str) -> None:
        """Raise Refused for a population outside the configured ones."""
        if self.populations and population.lower() not in self.populations:
            raise Refused(
                "This population is outside the configured ones, so nothing was requested.",
                "Configured: " + ", ".join(self.populations) + f". {setting('populations')} widens this.",
                code="OUTSIDE_CONFIGURATION",
            )
