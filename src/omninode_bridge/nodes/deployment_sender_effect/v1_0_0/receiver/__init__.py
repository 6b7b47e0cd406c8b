"""The reference receiver: takes packages over HTTP, verifies and keeps them, loads and runs their images.

`server.serving` starts it inside a running event loop, `deployment-receiver serve` as a process.
"""
