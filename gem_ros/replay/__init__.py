"""Recordings: read and write them, play them to real topics, and hold results against their truth."""
