"""PingOne as a provider of a user directory: all that knows PingOne."""
