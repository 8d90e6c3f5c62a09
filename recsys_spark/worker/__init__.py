"""What a Python worker process keeps and knows, without Spark."""
