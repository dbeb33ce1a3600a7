"""What a run leaves on disk, and the only place where training and inspection meet."""
