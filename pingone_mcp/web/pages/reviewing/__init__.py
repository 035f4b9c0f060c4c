"""Pages of reviews: who has access, the drift of applications, role rules; to read, to save and to print."""
