"""What comes from outside for a connection: what senders of events must show, and the user lists of applications."""
