"""``python -m training``: make the models again; the same inputs give the same bytes.

The model of names reads the lists beside the checkout; the others read nothing.
"""

import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from training import calibration, linear, names

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
MADE: Mapping[str, Callable[[], bytes]] = {
    "injection-1": lambda: linear.make("injection-1", linear.DIRECT, together=True),
    "instruction-1": lambda: linear.make(
        "instruction-1", linear.CARRIED, together=False
    ),
    "names-1": lambda: names.make(DATA),
    "calibration-1": calibration.make,
}


def main() -> int:
    """Write the artefacts, and say what they are; 1 where the lists are absent."""
    for name, make in MADE.items():
        if name == "names-1" and not DATA.exists():
            sys.stderr.write("the lists do not lie beside the checkout: ../shared\n")
            return 1
        made = make()
        (ROOT / f"infra/models/{name}.bin").write_bytes(made)
        digest = sha256(made).hexdigest()
        sys.stdout.write(f"{name}.bin {len(made)} bytes {digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
