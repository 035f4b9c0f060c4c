"""Pages where connections are linked and looked after, by people who have signed in, or who hold a link token."""
