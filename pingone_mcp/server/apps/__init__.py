"""The MCP App: the directory browser, which hosts show beside a conversation."""
