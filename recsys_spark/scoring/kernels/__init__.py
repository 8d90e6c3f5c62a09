"""Arithmetic that scores the whole catalogue, without Spark."""
