"""What labels, and what controllers that were learned from them, are worth beside the true ones."""
