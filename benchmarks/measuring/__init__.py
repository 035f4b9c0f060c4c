"""How something is measured: in turns, and in a process of its own."""
