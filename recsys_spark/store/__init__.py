"""The store: where runs, embeddings and published lists lie."""
