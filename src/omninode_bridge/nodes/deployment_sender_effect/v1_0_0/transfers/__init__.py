"""One package on its way to one receiver; knows ports only."""
