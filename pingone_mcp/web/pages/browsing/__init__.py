"""Pages that show a directory: people, groups, what changed; and the stream that says when there is something new."""
