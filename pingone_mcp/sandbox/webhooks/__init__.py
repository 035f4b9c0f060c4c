"""What PingOne does on its own: it sends events to those who have subscribed to them."""
