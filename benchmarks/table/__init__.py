"""What was measured becomes a table, a file, a picture."""
