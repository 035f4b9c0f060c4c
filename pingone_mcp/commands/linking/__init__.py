"""Commands of whoever runs connections for others: link them, look after them, give out keys."""
