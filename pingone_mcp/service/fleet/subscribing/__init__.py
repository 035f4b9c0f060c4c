"""A provider is asked to send its events here, and what it was asked is compared with what is needed."""
