"""Evaluation: the backtest, its baselines and its metrics."""
