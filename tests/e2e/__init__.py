"""Real SDK clients, and whoever else meets Sluice from outside."""
