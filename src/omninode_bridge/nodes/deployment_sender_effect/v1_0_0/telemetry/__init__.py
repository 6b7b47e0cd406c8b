"""Counters, timings and how they are exported."""
