"""The reference receiver: receives packages over HTTP, verifies and stores them, loads and runs their images.

`server.serving` starts it inside a running event loop, `deployment-receiver serve` as a process.
"""
