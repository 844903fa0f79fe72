"""Reading stored traces: signals, sampling with known probabilities, duplicates, pairs and masks."""
