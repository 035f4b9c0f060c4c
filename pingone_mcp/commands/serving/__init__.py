"""The command that serves many connections over HTTP."""
