"""Other formats: stored conversations and episodes read into traces and forests, and written back."""
