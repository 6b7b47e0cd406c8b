"""What a Dockerfile and a .dockerignore say, read as builders read them."""
