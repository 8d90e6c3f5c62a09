"""The generated shop: a deterministic world with planted tastes, for the demo, tests and benchmarks."""
