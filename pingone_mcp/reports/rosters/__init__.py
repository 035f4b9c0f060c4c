"""Who has an account in an application: its user list, read from what it exports."""
