"""`recsys-spark tune`: tries configurations of `[model]`."""
