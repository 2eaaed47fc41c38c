"""The robot's side: reads depth over ZeroMQ; imports neither torch nor OpenCV."""
