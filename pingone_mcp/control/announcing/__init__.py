"""What control data say to webhooks of themselves, and how far the changes of local copies were said."""
