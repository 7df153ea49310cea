"""Dense vision-language features with torch and open_clip: no ROS, no OpenCV."""
