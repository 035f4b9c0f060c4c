"""Outbound HTTP that providers share: turns and pacing, retries, limits of answers, ways to hosts, kept tokens."""
