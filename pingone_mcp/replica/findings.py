"""What a sync found out about one environment, beside the users and members that are staged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pingone_mcp.directory.changes import Evidence
from pingone_mcp.directory.models import Organization, RoleAssignment, Workspace
from pingone_mcp.directory.nesting import Nested, Nesting, above_each
from pingone_mcp.replica.evidence import Shortfall
from pingone_mcp.replica.source import PastEvent, Wanted
from pingone_mcp.replica.store.schema import GroupRow

Mode = Literal["full", "incremental"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneUser:
    """Who is not in the copy any more, when that happened or was first seen, and how it is known.

    `left` is set for who still exists, in a population that is not served.
    """

    at: str
    evidence: Evidence
    actor: str | None = None
    left: bool = False


@dataclass(slots=True, kw_only=True)
class Findings:
    """All that is to be taken over of one environment.

    `reread` are the groups whose members were read whole, `whole` those whose effective members are to be worked out
    anew, and `touched` the users for whom that is to be done in all groups. `short` are the groups that were not read
    whole after all, and `unseen` the users who may be there although they were not found: both lose no membership. In
    those that are `partly_nested` others may be nested that are not among the `nestings`, which were `nested_before`;
    `short_before` are those not all of whose own members were known then, and `read_through` those whose members of all
    kinds were read.
    `roles` are those of the users for whom they were read, and `all_roles` says that nobody else has any. `populations`
    and `with_groups` say where they could not be read, so that they stay as they were. `seen_before` is up to when
    everybody had been read before: who was created earlier and is new here was hidden until now. `quiet` writes down no
    changes but those of the `past`: there is nothing that they could be changes of. Of a reread, which reads beside
    syncs what events name and nothing else, `renewed` are the groups that it read, or found deleted.
    """

    environment: Organization
    mode: Mode = "full"
    populations: list[Workspace] | None = field(default_factory=list[Workspace])
    groups: list[GroupRow] = field(default_factory=list[GroupRow])
    with_groups: bool = True
    short: dict[str, Shortfall] = field(default_factory=dict[str, Shortfall])
    unseen: set[str] = field(default_factory=set[str])
    seen_before: str | None = None
    past: tuple[PastEvent, ...] = ()
    nestings: set[Nesting] = field(default_factory=set[Nesting])
    partly_nested: set[str] = field(default_factory=set[str])
    nested_before: Nested = field(default_factory=lambda: Nested(set(), set()))
    short_before: set[str] = field(default_factory=set[str])
    read_through: set[str] = field(default_factory=set[str])
    gone: dict[str, GoneUser] = field(default_factory=dict[str, GoneUser])
    reread: set[str] = field(default_factory=set[str])
    whole: set[str] = field(default_factory=set[str])
    touched: set[str] = field(default_factory=set[str])
    roles: dict[str, list[RoleAssignment]] = field(default_factory=dict[str, list[RoleAssignment]])
    all_roles: bool = False
    wanted: Wanted = field(default_factory=Wanted)
    quiet: bool = False
    is_reread: bool = False
    renewed: set[str] = field(default_factory=set[str])

    @property
    def id(self) -> str:
        return self.environment.id

    @property
    def opaque(self) -> set[str]:
        """The groups with members to whom no known nesting leads, so that all their members are read from the provider.

        They are in it by its filter, or through groups nested in it, at any depth, as `veiled` says.
        """
        return self.veiled.union(group.id for group in self.groups if group.user_filter is not None)

    @property
    def veiled(self) -> set[str]:
        """The groups with others nested in them, at any depth, that are not all known, or whose members are not."""
        above = above_each(self.nestings)
        short = self.short_of_members | self.short_before
        return Nested(self.nestings, self.partly_nested).veiled.union(*(above.get(group, ()) for group in short))

    @property
    def unveiled(self) -> set[str]:
        """The groups whose members through others are known for the first time now.

        No known nesting leads to these members, and the lists that show them were not read before, or not whole.
        """
        old = self.nested_before
        return (self.veiled - old.read) | ((self.opaque | old.veiled) & self.short_before)

    @property
    def short_of_members(self) -> set[str]:
        """The groups of which not all members were read, for another reason than those nested in them."""
        return {group for group, short in self.short.items() if short.of_members}

    def existed_before(self, created: str | None) -> bool | None:
        """Say whether what was created then was there at the last look, so that it was hidden; None: not known."""
        if created is None or self.seen_before is None:
            return None
        return created < self.seen_before
