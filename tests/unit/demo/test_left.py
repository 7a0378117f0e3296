"""What ``make up`` compares before it says that all runs already."""

from pathlib import Path

from demo.left import RUNS, code, digest
from demo.up import CHECKOUT


def test_code_that_was_changed_is_another(tmp_path: Path) -> None:
    """After a ``git pull`` the old processes would go on, and be called the new."""
    module = tmp_path / "producers" / "gateway" / "app.py"
    module.parent.mkdir(parents=True)
    module.write_text("one = 1")
    before = digest(code(tmp_path))

    (module.parent / "__pycache__").mkdir()
    (module.parent / "__pycache__" / "app.pyc").write_bytes(b"made by running it")
    ran = digest(code(tmp_path))
    module.write_text("one = 2")

    assert before == ran
    assert before != digest(code(tmp_path))


def test_all_that_runs_is_looked_at() -> None:
    found = code(CHECKOUT)

    assert all((CHECKOUT / each).is_dir() for each in RUNS)
    assert {"producers/app.py", "demo/stand_in.py", "infra/models/names-1.bin"} <= {
        *found
    }
