"""Mirrors of one's own: a tree with chosen models and wheels, its manifest, and a server for a lab."""
