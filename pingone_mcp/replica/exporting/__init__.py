"""Whole tables of the local copy, row by row, for files."""
