"""What a user directory is, whoever provides it: pure, without I/O."""
