"""Chat completions read without an object for each message, as far as the triage needs them."""
