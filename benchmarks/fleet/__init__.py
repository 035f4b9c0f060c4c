"""Many connections in one process: how it starts, what it holds, and how fast it answers while it syncs them."""
