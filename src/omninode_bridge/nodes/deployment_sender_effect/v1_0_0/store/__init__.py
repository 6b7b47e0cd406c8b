"""Where packages are kept: whole, under their final names, or not at all."""
