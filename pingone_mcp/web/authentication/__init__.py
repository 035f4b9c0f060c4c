"""Who calls: credentials of every kind, and what an answer says of one that is lacking or not good."""
