"""What a person who looks through the local copy is shown, quickly: lists by name, counts, one person, what changed."""
