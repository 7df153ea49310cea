"""Between ROS messages and arrays: duck-typed, so that rclpy's and rosbags' messages are served alike."""
