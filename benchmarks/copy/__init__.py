"""The local copy: syncs, what is asked of it, and how both grow."""
