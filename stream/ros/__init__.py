"""Depth in the words of ROS, without ROS: what goes into its messages, and their bytes (docs/ros.md)."""
