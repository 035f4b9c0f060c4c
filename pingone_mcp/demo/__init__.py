"""The main job, shown to a newcomer: what is asked, what comes back, what it costs, and what to do next."""
