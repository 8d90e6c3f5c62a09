"""Encoding: text in, vector out."""
