"""The paired harness behind bench_transfer.py: sites that serve, peers that fetch, turns that compare."""
