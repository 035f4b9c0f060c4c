"""What a caller keeps in order of the connections it reaches: keys, the hook, how often they are synced."""
