"""ROS messages for depth, built and serialised without ROS (docs/how-to/ros.md)."""
