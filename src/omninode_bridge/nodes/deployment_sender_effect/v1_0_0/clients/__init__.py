"""The only rooms with pipes to the street: each client speaks to one kind of neighbour."""
