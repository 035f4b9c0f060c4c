"""The file of the local copy: its schema, its rows, and what is staged and kept."""
