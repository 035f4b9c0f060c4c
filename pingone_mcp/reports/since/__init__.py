"""What a check found that the one before did not."""
