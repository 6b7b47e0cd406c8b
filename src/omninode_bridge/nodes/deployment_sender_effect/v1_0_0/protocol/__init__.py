"""The protocol between sender and receiver over HTTP: version, form fields, responses, signature, TLS."""
