"""The unified user directory over REST: `/unified/user-directory/…`."""
