"""What is made of the code for those who get it: the bundle for desktop clients, and the entry of MCP's registry."""
