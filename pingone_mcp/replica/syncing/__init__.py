"""One sync: what is read of each environment, what it proves, and how it is taken over."""
