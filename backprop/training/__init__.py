"""Training: the loop, the data it reads, and checkpoints of a run."""
