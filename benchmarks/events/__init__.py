"""From a change at the provider to the event at somebody's program."""
