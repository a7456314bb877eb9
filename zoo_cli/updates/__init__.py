"""Newer facts than those of the package: the signed index, brought and published."""
