"""Linked connections, served over HTTP by one process."""
