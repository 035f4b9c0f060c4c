"""What every provider of a directory answers: the questions, and the protocol.

A listing is read page by page: a provider is asked for the page at a position (None: the first) and says
where the next one begins. Positions stay valid in another process.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pingone_mcp.directory.coverage import REASONS, DeactivatedPage, Reason
from pingone_mcp.directory.models import (
    AuditEntry,
    Description,
    Group,
    Member,
    Organization,
    Role,
    User,
    Workspace,
)
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Origin, Position
from pingone_mcp.directory.scope import Scope

if TYPE_CHECKING:  # start-up: a server lists its tools before anybody filters
    from pingone_mcp.directory.matching.filterable import Filterable

Status = Literal["active", "inactive", "invited"]
Include = Literal["groups", "roles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserQuestion:
    """Which users: every part narrows further. Names and ids are both fine for group, population, environment."""

    query: str | None = None
    filter: str | None = None
    status: Status | None = None
    group: str | None = None
    population: str | None = None
    environment: str | None = None
    include: tuple[Include, ...] = ()
    remote_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeactivatedQuestion:
    """Who cannot sign in any more, why, and since when."""

    reasons: tuple[Reason, ...] = REASONS
    since: datetime | None = None
    population: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuestion:
    """Which groups: `query` is a part of the name."""

    query: str | None = None
    population: str | None = None
    environment: str | None = None
    remote_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberQuestion:
    """Who is in a group, directly or through nested and dynamic groups."""

    group: str
    environment: str | None = None
    direct_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuestion:
    """What was done between two times (None: as far back as the audit reaches, up to now), both included.

    `action` is one as `AuditEntry` has it.
    """

    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    environment: str | None = None
    remote_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessQuestion:
    """Whose access: of those in a group, with a role, in a population; with none of these, of all who have any.

    Of a group or a role, the answer names the ways to it; otherwise all groups and roles that a person has.
    """

    group: str | None = None
    role: str | None = None
    population: str | None = None


Question = UserQuestion | DeactivatedQuestion | GroupQuestion | MemberQuestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where answers come from: asked live, or read from a local copy; `age_seconds` is how old they are."""

    kind: Origin = "live"
    age_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is fixed about a directory: who provides it, where, which part is served, and which filters it takes."""

    provider: str
    region: str
    scope: Scope
    filterable: Filterable


class Directory(Protocol):
    """A user directory. Every method raises `Problem` for what a person can mend, and nothing else."""

    @property
    def profile(self) -> Profile: ...

    async def provenance(self, question: Question | None = None, at: Position | None = None) -> Provenance:
        """Say where the answer to a question comes from (None: answers in general), and how old it is.

        `at` is the position that it is read at, where it is not the beginning.
        """
        ...

    async def users(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        """Return one page of the users asked for.

        `page_size` is how many are wanted: pages may be shorter, and longer where not all that is read is shown.
        """
        ...

    async def user(self, reference: str, *, environment: str | None = None, remote_data: bool = False) -> User:
        """Return one user with groups, roles and manager; `reference` is an id, username, email or external id."""
        ...

    async def deactivated(
        self, question: DeactivatedQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> DeactivatedPage:
        """Return one page of the users who cannot sign in any more, one reason after the other."""
        ...

    async def groups(
        self, question: GroupQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Group]:
        """Return one page of the groups asked for."""
        ...

    async def group(self, reference: str, *, environment: str | None = None) -> Group:
        """Return one group with its total member count and the groups that it is nested in."""
        ...

    async def members(
        self, question: MemberQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Member]:
        """Return one page of the members of a group: the direct ones first."""
        ...

    async def audit(
        self, question: AuditQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[AuditEntry]:
        """Return one page of the audit, of each environment the newest first. A local copy asks the provider."""
        ...

    async def roles(self) -> tuple[Role, ...]:
        """Return the administrator roles that there are, whoever has them."""
        ...

    async def describe(self) -> Description:
        """Say what is served, how large it is, and what the credentials may read."""
        ...

    async def environments(self) -> tuple[Organization, ...]:
        """Return the environments served, ordered by id; one that cannot be read has no name."""
        ...

    async def populations(self, environment: str | None = None) -> tuple[Workspace, ...]:
        """Return the populations served of an environment (None: of the first); none where there is no environment."""
        ...
