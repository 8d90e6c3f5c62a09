"""Profiles: what is known of each user and each item."""
