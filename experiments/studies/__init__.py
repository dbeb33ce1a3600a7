"""Studies: one file each, with a claim, the points that test it, and what decides."""
