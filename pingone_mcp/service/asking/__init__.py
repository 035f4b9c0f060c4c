"""Questions to a directory that are more than one call to it: what every face answers them with."""
