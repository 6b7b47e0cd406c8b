"""The receiver's HTTP side: who is let in, what is read, what is responded."""
