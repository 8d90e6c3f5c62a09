"""The model: what is learned of users and items."""
