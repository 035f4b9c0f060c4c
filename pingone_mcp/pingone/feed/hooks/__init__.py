"""What PingOne is asked to send: the subscriptions of an environment, called webhooks in its console."""
