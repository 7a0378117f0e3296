"""The keystore: wrapped data keys in a database of their own."""
