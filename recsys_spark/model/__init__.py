"""The model: the parts that are learned of users and items."""
