"""Events that a provider sends: taken as they come, and what they name is read again afterwards."""
