"""The commands that help to set the server up: files to fill in, and what clients need."""
