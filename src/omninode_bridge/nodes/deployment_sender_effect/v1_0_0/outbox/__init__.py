"""Events: their envelope, the outbox that stores them on disk, and their delivery to the broker in order."""
