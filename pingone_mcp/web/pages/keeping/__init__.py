"""Pages on which a connection is looked after: what is done by the hour, and where events go."""
