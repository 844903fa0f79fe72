"""Search trees that are grown where it pays: selection, widening, backup, and draws from what was grown."""
