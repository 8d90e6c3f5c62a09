"""A Python worker process: its cache, threads, devices and group, without Spark."""
