"""What becomes of a stored package: loaded, started, watched, recorded."""
