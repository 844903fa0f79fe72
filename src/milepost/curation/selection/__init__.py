"""Which conversations to look at: rules with known probabilities of inclusion, and near duplicates."""
