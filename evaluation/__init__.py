"""How good detection is: measured on public sets that lie beside the checkout."""
