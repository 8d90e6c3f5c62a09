"""Where published lists go: one file a sink, all behind one protocol."""
