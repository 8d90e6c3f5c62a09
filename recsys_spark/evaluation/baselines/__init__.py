"""The rivals of the backtest: one file a baseline, and their one list in the registry."""
