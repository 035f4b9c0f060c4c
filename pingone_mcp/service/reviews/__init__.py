"""Reviews of everybody in the local copy: drift of an application, who has access, which roles follow from rules."""
