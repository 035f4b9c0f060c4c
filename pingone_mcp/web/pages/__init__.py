"""Pages for people, made on the server: they ask the same use cases as every other face, and hold no rules."""
