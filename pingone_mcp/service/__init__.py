"""The use cases, once: what faces (MCP, the command line) ask for. No MCP, no HTTP, no terminal in here."""
