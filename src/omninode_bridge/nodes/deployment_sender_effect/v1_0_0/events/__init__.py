"""Events on their way: the envelope, the outbox on disk, and the courier that takes them to the broker."""
