"""Who and what is meant: filters (RFC 7644), searches, references, and when two texts name the same person."""
