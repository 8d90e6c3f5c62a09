"""The configuration: its sections, and the file they are read from."""
