"""The fold on a GPU; each module has the name of its twin on the CPU."""
