"""One module for each step. A step is never changed once it was released: its words stand in databases out there."""
