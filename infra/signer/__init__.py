"""The signer of checkpoints: its keys, and what it remembers."""
