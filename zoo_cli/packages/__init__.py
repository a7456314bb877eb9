"""Which versions fit together on a machine, and putting them in place."""
