"""What happens to an image's bytes on their way: read as an archive, compressed, hashed and counted in one pass."""
