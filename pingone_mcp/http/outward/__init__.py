"""Requests to programs whose addresses somebody has typed in: events are sent there, and lists are read."""
