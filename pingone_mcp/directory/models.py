"""The unified user directory: what every provider maps into, and all that tools and services know.

None means "the provider does not say"; it is neither false nor empty. Enumerations keep values that nobody
foresaw, as the provider spelled them. Times are aware datetimes. Nobody changes any of these. Python sees to it, except
where hundreds are made for an answer, users and their parts: to make a frozen one takes more than twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from pingone_mcp.directory.gaps import Gap

# JSON of a provider, kept as it came (custom attributes, remote data).
JsonObject = dict[str, Any]

StatusReason = Literal["disabled", "locked", "verification_required", "removed"]
MembershipType = Literal["direct", "indirect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A thing by id, with its name where it is known: an environment (organization) or population (workspace)."""

    id: str
    name: str | None = None


@dataclass(slots=True, kw_only=True)
class Email:
    email: str
    type: str | None = None
    is_primary: bool = False


@dataclass(slots=True, kw_only=True)
class Phone:
    number: str
    type: str | None = None


@dataclass(slots=True, kw_only=True)
class Address:
    street: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """Who manages a user. `reference` is the raw value; the rest is known once it has been looked up."""

    reference: str
    id: str | None = None
    username: str | None = None
    email: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSource:
    """The provider's own words behind `status`."""

    enabled: bool | None = None
    account_status: str | None = None
    lifecycle_status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMembership:
    id: str
    name: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleScope:
    id: str
    type: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAssignment:
    id: str
    name: str | None = None
    scope: RoleScope | None = None


@dataclass(slots=True, kw_only=True)
class User:
    """One person or account of the directory, in the unified schema."""

    id: str
    username: str | None = None
    external_id: str | None = None
    identifiers: dict[str, str] | None = None
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    emails: tuple[Email, ...] = ()
    phones: tuple[Phone, ...] = ()
    title: str | None = None
    department: str | None = None
    manager: Manager | None = None
    type: str | None = None
    status: Annotated[
        str, Field(description="active, inactive, invited or deleted; any other value is the provider's own, kept raw.")
    ]
    status_reasons: Annotated[
        tuple[StatusReason, ...], Field(description="Why the status is not active; a user can be disabled and locked.")
    ] = ()
    status_source: Annotated[StatusSource, Field(description="The provider's raw values behind `status`.")]
    is_email_verified: bool | None = None
    is_2fa_enabled: Annotated[
        bool | None, Field(description="Absent when the provider does not say; absent is not false.")
    ] = None
    groups: Annotated[
        tuple[GroupMembership, ...] | None, Field(description="Single get, or `include`; absent means not asked.")
    ] = None
    roles: Annotated[
        tuple[RoleAssignment, ...] | None, Field(description="Single get, or `include`; absent means not asked.")
    ] = None
    organizations: Annotated[tuple[Named, ...], Field(description="The PingOne environment.")] = ()
    workspaces: Annotated[tuple[Named, ...], Field(description="The PingOne population.")] = ()
    locale: str | None = None
    timezone: str | None = None
    preferred_language: str | None = None
    address: Address | None = None
    avatar_url: str | None = None
    last_login_at: datetime | None = None
    locked_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    custom_attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    unreadable: Annotated[
        tuple[str, ...],
        Field(description="Fields that could not be read, or not whole: absent or partial here, not empty there."),
    ] = ()
    remote_data: Annotated[
        JsonObject | None, Field(description="The provider's object as it came; only with include_remote_data.")
    ] = None

    @property
    def email(self) -> str | None:
        """The primary address, else the first one."""
        return next((e.email for e in self.emails if e.is_primary), self.emails[0].email if self.emails else None)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses, as they are written."""
        return tuple(email.email for email in self.emails)


class Reviewed(Protocol):
    """What reviews of everybody look at of a user: of a `User`, or of what the local copy reads in its place."""

    @property
    def id(self) -> str: ...
    @property
    def username(self) -> str | None: ...
    @property
    def external_id(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def first_name(self) -> str | None: ...
    @property
    def last_name(self) -> str | None: ...
    @property
    def email(self) -> str | None: ...
    @property
    def addresses(self) -> tuple[str, ...]: ...
    @property
    def title(self) -> str | None: ...
    @property
    def department(self) -> str | None: ...
    @property
    def manager(self) -> Manager | None: ...
    @property
    def type(self) -> str | None: ...
    @property
    def status(self) -> str: ...
    @property
    def status_reasons(self) -> tuple[StatusReason, ...]: ...
    @property
    def workspaces(self) -> tuple[Named, ...]: ...
    @property
    def locale(self) -> str | None: ...
    @property
    def timezone(self) -> str | None: ...
    @property
    def preferred_language(self) -> str | None: ...
    @property
    def custom_attributes(self) -> JsonObject: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group. Counts are those of direct members and direct subgroups, unless `total_member_count` says more."""

    id: str
    name: str | None = None
    description: str | None = None
    external_id: str | None = None
    group_type: str | None = None
    organization: Named
    workspace: Named | None = None
    member_count: int | None = None
    group_count: int | None = None
    total_member_count: int | None = None
    user_filter: str | None = None
    parents: tuple[GroupMembership, ...] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    unreadable: tuple[str, ...] = ()
    remote_data: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A PingOne environment."""

    id: str
    name: str | None = None
    type: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A PingOne population."""

    id: str
    name: str | None = None
    user_count: int | None = None
    is_default: bool | None = None
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    id: str
    name: str | None = None
    description: str | None = None
    scope_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deactivated:
    """A user who cannot sign in any more, with when and by whom where the provider's audit says so."""

    user: User
    at: datetime | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user in a group: `type` says whether directly or through a nested or dynamic group."""

    user: User
    type: MembershipType


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationSummary:
    """What can be said of an environment at a glance; a count is None where it cannot be read."""

    organization: Organization
    user_count: int | None = None
    disabled_count: int | None = None
    group_count: int | None = None
    workspaces: tuple[Workspace, ...] = ()
    may_read: dict[str, bool] = field(default_factory=dict[str, bool])


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a connection serves. Look-ups of names are kept for `kept_seconds`; `gaps` name what is not all there."""

    provider: str
    region: str
    organizations: tuple[OrganizationSummary, ...]
    limited_to_workspaces: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    kept_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One audit event about one subject. Events carry no values: what is true now must be read."""

    id: str
    at: datetime
    action: str
    actor: str | None = None
    subject_id: str | None = None
    subject_name: str | None = None
    subject_workspace_id: str | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditActor:
    """Who did something: `user` is a person, `system` an application, `anonymous` nobody who had signed in."""

    type: Literal["user", "system", "anonymous"]
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the audit: who did what to what.

    `action` is user_created, user_updated, user_deleted, create, updated or destroy where the provider's own word
    (`event`) means one of these, and that word otherwise. `entity` is what it was done to.
    """

    id: str
    created_at: datetime
    action: str
    event: str
    actor: AuditActor
    organization: Named
    workspace: Named | None = None
    entity: str | None = None
    entity_type: str | None = None
    entity_name: str | None = None
    outcome: str | None = None
    description: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    remote_data: JsonObject | None = None
