"""Reading everybody: our walk, and other ways to read the same pages."""
