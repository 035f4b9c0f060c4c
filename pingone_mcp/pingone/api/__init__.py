"""PingOne's API as it is called: the token, requests and their answers, and the limits it sets."""
