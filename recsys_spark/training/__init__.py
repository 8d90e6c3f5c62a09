"""Training: how the model is learned."""
