"""DataFrames in, DataFrames out: one module per stage; stages do not import each other."""
