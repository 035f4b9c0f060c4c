"""PingOne's own API, one request at a time: what may be sent, and what is shown of it."""
