"""Clients of external systems. The only package that imports docker, httpx or aiokafka."""
