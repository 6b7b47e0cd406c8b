"""Makes and reads package files: a compressed, hashed image archive, and its manifest."""
