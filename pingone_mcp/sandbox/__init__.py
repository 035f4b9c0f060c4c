"""A small PingOne in this process, for demos, tests and evaluation."""
