"""The commands of `recsys-spark`: one file a command, and the one list of them in the registry."""
