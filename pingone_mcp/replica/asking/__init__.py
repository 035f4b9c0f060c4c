"""What is asked of the local copy: the same questions that a provider answers live, and its changes."""
