"""What providers must show when they send events, as control data keep it."""
