"""What may be read of an environment: what it is for, and the role of PingOne that lets it be read.

Check-ups, syncs and failures name rights from here, so that they say the same. Of the built-in roles each names the one
that may do least; a custom role takes the permission (PingOne, "PingOne Permissions by Identifier").
"""

from __future__ import annotations

from typing import NamedTuple

_IDENTITIES, _CONFIGURATION = "Identity Data Read Only", "Configuration Read Only"


class Right(NamedTuple):
    """The right to read `what`; `without` says what is lacking without it.

    `permission` is empty where none is documented.
    """

    what: str
    without: str
    role: str
    permission: str = ""

    @property
    def given_by(self) -> str:
        """The role that gives it, and the permission that a custom role takes."""
        return f"{self.role} (permission {self.permission})" if self.permission else self.role

    @property
    def taken_by(self) -> str:
        """What to know where it is not there, as a remark in a sentence."""
        return f"that takes a role there such as {self.role}"


USERS = Right("users", "nothing can be answered", _IDENTITIES)
POPULATIONS = Right("populations", "users have no population, and nobody notices who is hidden", _IDENTITIES)
GROUPS = Right("groups", "groups, memberships and reviews of them are missing", _IDENTITIES)
MEMBERS = Right("members", "who is in which group is missing", _IDENTITIES)
ROLES = Right(
    "role assignments",
    "who is an administrator is unknown",
    _IDENTITIES,
    "permissions:read:userRoleAssignments",
)
AUDIT = Right(
    "audit events",
    "when and by whom somebody was deactivated is unknown, and removals are seen by full syncs only",
    _CONFIGURATION,
    "audit_reporting:read:activity",
)
CONFIGURATION = Right("the configuration", "names and types of environments are unknown", _CONFIGURATION)
