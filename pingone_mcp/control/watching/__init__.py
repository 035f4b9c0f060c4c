"""Control data of what is done by the hour."""
