"""Managers: whom the reference of each user means, in the environment of that user.

It is an id, else a username, else an address, each of which one user has.
"""

from __future__ import annotations

from pingone_mcp.replica.merging.takeover import Takeover

_MEANT = (
    "s.id = called COLLATE NOCASE AND s.id = lower(called)",
    "s.username = called COLLATE NOCASE",
    "s.email = called COLLATE NOCASE",
)
# Without the plus SQLite would convert every reference to text, and no index would do.
_REFERRING = """SELECT {} FROM main.users_ WHERE manager IS NOT NULL
    AND trim(manager) COLLATE NOCASE IN (SELECT +{} FROM temp.{}) AND +environment_id = ?1"""
_ALTERED = "main.users_ WHERE id IN (SELECT id FROM temp.altered)"


def find_all_managers(takeover: Takeover) -> None:
    """List whom the references of all staged users mean: `temp.meant`, by reference."""
    _want(takeover, "SELECT manager FROM staged.users_ WHERE environment_id = ? AND manager IS NOT NULL")
    # Everybody may be meant: so each is looked for among the references, which are few.
    _mean(takeover, "staged.users_ s CROSS JOIN temp.wanted ON {} WHERE s.environment_id = ?")


def note_names(takeover: Takeover) -> None:
    """List by what the users of `temp.altered` can be meant (`temp.named`), as the copy has them now."""
    takeover.database.execute(
        f"""INSERT OR IGNORE INTO temp.named SELECT id FROM temp.altered
        UNION ALL SELECT username FROM {_ALTERED} AND username IS NOT NULL
        UNION ALL SELECT email FROM {_ALTERED} AND email IS NOT NULL"""  # noqa: S608 - our names
    )


def find_managers(takeover: Takeover) -> None:
    """Find the managers of users who have changed, and of those whose manager has, by what `temp.named` lists."""
    _want(
        takeover,
        f"""SELECT manager FROM {_ALTERED} AND manager IS NOT NULL
        UNION ALL {_REFERRING.format("manager", "name", "named")}""",  # noqa: S608 - our names
    )
    _mean(takeover, "temp.wanted CROSS JOIN main.users_ s ON {} WHERE s.environment_id = ? AND s.removed_at IS NULL")
    takeover.database.execute(
        f"""UPDATE users_ SET manager_id = (SELECT id FROM temp.meant WHERE reference = manager)
        WHERE number IN (
            {_REFERRING.format("number", "called", "wanted")} UNION ALL SELECT number FROM {_ALTERED}
        ) AND manager_id IS NOT (SELECT id FROM temp.meant WHERE reference = manager)""",  # noqa: S608 - our names
        (takeover.found.id,),
    )


def _want(takeover: Takeover, references: str) -> None:
    """List the references that a query gives for an environment, each as it was written and as it is looked up."""
    takeover.make_table("wanted", "reference TEXT PRIMARY KEY, called TEXT COLLATE NOCASE")
    takeover.database.execute(
        f"INSERT OR IGNORE INTO temp.wanted SELECT manager, trim(manager) FROM ({references})",  # noqa: S608 - our text
        (takeover.found.id,),
    )
    takeover.database.execute("CREATE INDEX temp.wanted_by_name ON wanted (called)")
    takeover.database.execute("ANALYZE temp.wanted")  # they are few: else SQLite would look through all users first


def _mean(takeover: Takeover, users: str) -> None:
    """List whom the references that are wanted mean among some users."""
    takeover.make_table("candidates", "reference TEXT, way INTEGER, id TEXT, PRIMARY KEY (reference, way, id)")
    takeover.make_table("meant", "reference TEXT PRIMARY KEY, id TEXT")
    for way, meant in enumerate(_MEANT):
        takeover.database.execute(
            f"INSERT INTO temp.candidates SELECT reference, {way:d}, s.id FROM {users.format(meant)}",  # noqa: S608 - our text
            (takeover.found.id,),
        )
    takeover.database.execute(
        """INSERT OR IGNORE INTO temp.meant SELECT reference, min(id) FROM temp.candidates
        GROUP BY reference, way HAVING count(*) = 1 ORDER BY way"""
    )
