"""The MCP face: tools, resources and prompts over a directory."""
