"""Files that are given to the use cases, and files that they write."""
