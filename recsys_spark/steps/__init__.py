"""The steps: one file a stage. A step reads what the stage needs, calls it and writes the result."""
