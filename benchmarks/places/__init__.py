"""A PingOne to measure against, served from a process of its own."""
