"""What the commands behind ``make`` say where they do not come to their end."""

import pytest

from demo import __main__ as commands


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", ["up", "down"])
def test_an_interrupt_says_what_is_left_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Kafka and Postgres may have been started; nobody wants a traceback."""
    monkeypatch.setattr("sys.argv", ["demo", command])
    monkeypatch.setattr(commands, command, interrupted)

    with pytest.raises(SystemExit, match="make down"):
        commands.main()


def test_an_interrupted_tour_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["demo", "tour"])
    monkeypatch.setattr(commands, "tour", interrupted)

    with pytest.raises(SystemExit) as ended:
        commands.main()

    assert "interrupted" == ended.value.code
