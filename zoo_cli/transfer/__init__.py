"""Bytes from somewhere to a verified file."""
