"""Stands for the package bondpy where there is none; as much of it as a node uses."""
