"""The driver's side of Spark: the session, GPUs, progress, failures and files. The only door to the JVM."""
