"""``python -m producers.cli``: the same as ``sluice``."""

from producers.cli import main

main()
