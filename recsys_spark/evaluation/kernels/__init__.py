"""Metrics over arrays, without Spark."""
