"""The Docker Engine and engines with its API."""
