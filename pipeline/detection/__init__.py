"""What is found in text: one engine, for screening and for redaction."""
