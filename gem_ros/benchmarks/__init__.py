"""How fast it is, measured where it runs; and the published algorithm to measure it against."""
