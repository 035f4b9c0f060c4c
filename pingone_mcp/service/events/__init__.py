"""Events out: what the changes of a directory are as events, how these are signed, and how they are delivered."""
