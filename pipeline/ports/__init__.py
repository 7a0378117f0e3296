"""What the stages and edges need of the world: one Protocol a noun."""
