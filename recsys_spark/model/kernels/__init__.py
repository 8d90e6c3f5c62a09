"""The arithmetic of the model, without Spark."""
