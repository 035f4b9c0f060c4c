"""What `pingone-mcp` does for people and schedulers, beside serving MCP: one module for each command."""
