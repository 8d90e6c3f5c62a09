"""The files of an encoder: found, fetched, checked and loaded."""
