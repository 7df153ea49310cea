"""From pixels and depth to 3D: numpy and OpenCV only."""
