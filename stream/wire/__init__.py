"""What goes over ZeroMQ: the format of a message, and nothing about sockets (docs/wire.md describes it to readers)."""
