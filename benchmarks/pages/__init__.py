"""One page, one request: from bytes to users and rows."""
