"""Events on their way: the envelope, the outbox on disk, and what sends them to the broker in order."""
