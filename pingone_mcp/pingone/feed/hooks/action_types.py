"""What somebody chooses in PingOne, so that it sends us the events that a directory lives by."""

from __future__ import annotations

ACTION_TYPES = (
    "USER.CREATED",
    "USER.UPDATED",
    "USER.DELETED",
    "USER.LOCKED",
    "USER.UNLOCKED",
    "USER.MOVED",
    "PASSWORD.UNLOCKED",
    "PASSWORD.CHECK_FAILED",
    "MEMBER_OF_GROUP.CREATED",
    "MEMBER_OF_GROUP.DELETED",
    "GROUP.CREATED",
    "GROUP.UPDATED",
    "GROUP.DELETED",
    "POPULATION.CREATED",
    "POPULATION.UPDATED",
    "POPULATION.DELETED",
    "ROLE_ASSIGNMENT.CREATED",
    "ROLE_ASSIGNMENT.DELETED",
    "SCHEMA_ATTRIBUTE.CREATED",
    "SCHEMA_ATTRIBUTE.UPDATED",
    "SCHEMA_ATTRIBUTE.DELETED",
    "SUBSCRIPTION.UPDATED",
    "SUBSCRIPTION.DELETED",
)
"""Each by its name, as PingOne knows no wildcard. Sign-ons are not among them: there may be millions.

Failed checks of a password are, although nothing changes with most of them: one that locks an account may leave no
other event (`failed_sign_ons_event` of the sandbox).
"""
