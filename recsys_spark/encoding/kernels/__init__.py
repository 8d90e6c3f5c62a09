"""The arithmetic of the text encoder, without Spark."""
