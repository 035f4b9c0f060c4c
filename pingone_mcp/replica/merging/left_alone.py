"""What a sync leaves alone: whatever was read again beside it, since it began, stays as the copy has it now.

What the sync has read of that may be older. Where it is newer the next sync finds it, which begins where that reread
did (`Watermark.back_to`).
"""

from __future__ import annotations

from pingone_mcp.replica.merging.takeover import Takeover
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.store.rereads import Rereads, rereads_of


def leave_alone(takeover: Takeover) -> None:
    """Make what was found agree with the copy about whatever was read again; `temp.alone` lists the users of those.

    A reread, and a sync that makes all records anew, leave nothing alone.
    """
    found = takeover.found
    again = Rereads() if found.is_reread or found.quiet else rereads_of(takeover.database, found.id)
    takeover.list_ids("alone", again.users)
    takeover.list_ids("roles_alone", again.roles)
    _users(takeover, again)
    if found.with_groups and (again.groups or again.members or again.memberships):
        _groups(takeover, again)
        _shortfalls(takeover, again)
        _memberships(takeover, again)


def _users(takeover: Takeover, again: Rereads) -> None:
    found = takeover.found
    for user in again.users & found.gone.keys():
        del found.gone[user]
        found.unseen.add(user)  # their memberships were not looked for
    gone = takeover.database.execute(
        "SELECT id FROM temp.alone EXCEPT SELECT id FROM users_ WHERE id IN (SELECT id FROM temp.alone) AND removed_at IS NULL"
    )
    for user in again.roles.union(*gone):
        found.roles.pop(user, None)


def _groups(takeover: Takeover, again: Rereads) -> None:
    """Keep the groups that were read again, and those only, and how they are nested; others stay as they were found."""
    found = takeover.found
    known = looks.groups_known(takeover.database, found.id)
    kept = [row for group, row in known.items() if group in again.groups]
    found.groups = [row for row in found.groups if row.id not in again.groups] + kept
    present = {row.id for row in found.groups}
    nestings = {one for one in found.nestings if not again.groups & {one.group, one.parent}}
    before = looks.nestings_known(takeover.database, found.id)
    nestings |= {one for one in before.pairs if again.groups & {one.group, one.parent}}
    found.nestings = {one for one in nestings if {one.group, one.parent} <= present}
    found.partly_nested = (found.partly_nested - again.groups | before.partly & again.groups) & present
    found.whole |= again.groups
    found.reread -= again.members | (again.groups - present)


def _shortfalls(takeover: Takeover, again: Rereads) -> None:
    found = takeover.found
    known = looks.shortfalls_known(takeover.database, found.id)
    settled = again.members | (again.groups - {row.id for row in found.groups})
    found.short = {group: short for group, short in found.short.items() if group not in settled}
    found.short |= {group: known[group].shortfall for group in again.members & known.keys()}


def _memberships(takeover: Takeover, again: Rereads) -> None:
    """Let what was read of members say of these pairs what the copy does."""
    database, found = takeover.database, takeover.found
    takeover.list_ids("members_alone", again.members)
    takeover.list_ids("opaque", found.opaque)
    takeover.make_table("pairs_alone", "group_id TEXT, user_id TEXT, PRIMARY KEY (group_id, user_id)")
    database.executemany(
        "INSERT INTO temp.pairs_alone VALUES (?, ?)", [(pair.group, pair.user) for pair in again.memberships]
    )
    for table in ("members", "verified"):
        database.execute(
            f"""DELETE FROM staged.{table} WHERE group_id IN (SELECT id FROM temp.members_alone)
            OR (group_id, user_id) IN (SELECT group_id, user_id FROM temp.pairs_alone)"""  # noqa: S608 - our names
        )
    database.execute(
        """INSERT INTO staged.members (group_id, user_id, type)
        SELECT m.group_id, m.user_id, m.type FROM temp.pairs_alone a CROSS JOIN main.memberships_ m
        ON m.group_id = a.group_id AND m.user_id = a.user_id
        WHERE (m.type = 'direct' OR m.group_id IN (SELECT id FROM temp.opaque))
        AND m.group_id NOT IN (SELECT id FROM temp.members_alone)"""
    )
