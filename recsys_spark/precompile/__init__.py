"""Compiles the kernels before a job needs them, for the machines of a cluster: `python -m recsys_spark.precompile`."""
