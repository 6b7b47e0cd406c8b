"""What a package file is: an image archive, compressed and hashed in one pass, and its manifest."""
