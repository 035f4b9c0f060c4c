"""Many connections in one process: linked, served to those who reach them, and synced in turn."""
