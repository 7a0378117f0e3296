"""How the models are made: the same inputs give the same bytes."""
