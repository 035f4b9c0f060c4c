"""Control data: connections and their secrets, keys of callers, runs of syncs, events in and out.

SQLite on one machine, PostgreSQL in a fleet. What is secret is stored as a digest, where it only has to be recognized,
and sealed, where it is used again. These modules need the packages of the extra `serve`: import them where they are
used, after `extras.find_extra("sqlalchemy", "serve")`.
"""
