"""The questions of `Directory`, answered by PingOne live."""
