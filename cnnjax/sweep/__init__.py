"""Sweeps: a space of values, points drawn from it, and the life of each point's runs."""
