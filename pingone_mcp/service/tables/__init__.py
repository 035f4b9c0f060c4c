"""Whole tables as files: everybody, every group, every membership, every change."""
