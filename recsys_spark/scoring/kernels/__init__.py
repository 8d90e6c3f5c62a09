"""The fold that scores the catalogue, without Spark."""
