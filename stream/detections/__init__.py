"""Where boxes come from: the config, a topic on ZeroMQ, any detector; and what makes them fit to be segmented."""
