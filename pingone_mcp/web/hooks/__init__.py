"""Where providers send their events to: `/hooks/pingone/{connection}`."""
