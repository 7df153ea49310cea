"""Simulated RGB-D scenes with ground truth: the sample bag and the bundled model's training data."""
