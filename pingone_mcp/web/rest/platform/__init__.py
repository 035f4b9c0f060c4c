"""What is around the directory: connections, link tokens, webhooks, runs of syncs."""
