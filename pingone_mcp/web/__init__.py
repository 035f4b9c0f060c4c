"""The HTTP face: MCP, REST, and what those need who run it."""
