"""What an image is: its archive, its layers, its configuration; nothing here knows engines, stores or the network."""
