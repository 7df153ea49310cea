"""The open benchmarks of dense grounding: their files, their protocols, their numbers."""
