"""What an access review of the local copy is made of, beside what `asking` says of people."""
