"""Users of the local copy, chosen and sorted by fields of the unified user."""
