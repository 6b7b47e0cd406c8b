"""Reads Dockerfiles and .dockerignore files as builders read them."""
