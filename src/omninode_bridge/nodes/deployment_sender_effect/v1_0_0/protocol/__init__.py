"""What sender and receiver agree on over HTTP: the fields, the answers and the signature."""
