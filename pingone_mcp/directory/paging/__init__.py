"""A listing of any length: its parts, positions in it, cursors, and one bounded answer out of it."""
