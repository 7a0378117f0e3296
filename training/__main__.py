"""``python -m training``: make the models again from the data beside the checkout."""

import sys
from hashlib import sha256
from pathlib import Path

from training import names

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


def main() -> int:
    """Write the artefacts, and say what they are; 1 where the data is absent."""
    if not DATA.exists():
        sys.stderr.write("the data does not lie beside the checkout: ../shared/data\n")
        return 1
    made = names.make(DATA)
    (ROOT / "infra/models/names-1.bin").write_bytes(made)
    sys.stdout.write(f"names-1.bin {len(made)} bytes {sha256(made).hexdigest()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
