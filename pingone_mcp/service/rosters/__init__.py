"""User lists of applications that were pushed to a connection or are pulled for it, and its rules for roles."""
