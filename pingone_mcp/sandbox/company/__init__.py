"""The sample company: its people, what was changed since, its ids, times and roles."""
