"""The main job for real, from nothing but the package registries; run by `make demo`."""
