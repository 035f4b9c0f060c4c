"""What a sync reads of PingOne: everybody, and what has changed since."""
