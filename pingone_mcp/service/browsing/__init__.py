"""Looking through a directory: people, groups and changes, out of the local copy, with its age and what it lacks."""
