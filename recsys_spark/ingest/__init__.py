"""Ingest: the user's tables become contract tables, and bad rows become rejected rows."""
