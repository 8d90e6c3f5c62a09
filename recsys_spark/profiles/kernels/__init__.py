"""Cleaning and composing of profile texts, without Spark."""
