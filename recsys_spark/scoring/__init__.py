"""Scoring: exact lists over the whole catalogue."""
