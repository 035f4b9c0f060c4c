"""The server as its client meets it: start, questions, crowds, attacks."""
