"""Clients of external systems. The only package that imports docker, httpcore or aiokafka."""
