"""What a network is made of, found by tracing it: its layers, and the result of each by name."""
