"""What is done for a connection by the hour: full syncs, and checks that say when something is new."""
