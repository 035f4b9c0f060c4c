"""Taking over what a sync has read of an environment into the local copy, and writing down what changed."""
