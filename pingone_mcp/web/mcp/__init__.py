"""MCP over HTTP: each connection at a path of its own, by a server of its own."""
