"""Collections, configs and checkpoints."""
