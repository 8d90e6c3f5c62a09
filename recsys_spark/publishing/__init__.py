"""Publishing: the gates, the places where lists go, and the report."""
