"""Training: learns the model from histories."""
