"""Keeps packages: each exists completely under its final name, or not at all."""
