"""The arithmetic of training, without Spark."""
