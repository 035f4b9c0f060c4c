"""Texts: made harmless to look at, read as JSON, and times as people write them."""
