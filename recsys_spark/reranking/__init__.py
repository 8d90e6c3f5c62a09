"""Re-ranking: rules over the candidates, and the reasons of an item."""
