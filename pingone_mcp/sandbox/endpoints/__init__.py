"""What the small PingOne answers under each of its paths."""
