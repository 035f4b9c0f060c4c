"""A PingOne user directory for AI assistants, IDEs and scripts, over MCP."""

__version__ = "0.1.0"
