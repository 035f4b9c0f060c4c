"""The tools: one file for what belongs together, each tool one question to a use case of service/."""
