"""What needs a person, of one connection and of all that a caller reaches, and what settles it."""
