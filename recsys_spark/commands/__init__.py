"""The commands of `recsys-spark`: one file a command."""
