"""Benchmarks: ratios against peers that run in the same minutes. `make bench` runs them all."""
