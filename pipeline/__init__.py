"""What we decide: pure stages, and the ports that they need."""
