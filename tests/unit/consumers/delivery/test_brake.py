"""When a burst of dead letters stops a subscription."""

from consumers.delivery.brake import Brake


def test_twenty_in_a_row_pull_it() -> None:
    brake = Brake()
    for _ in range(19):
        brake.buried()
    before = brake.pulled
    brake.buried()

    assert (False, True) == (before, brake.pulled)


def test_one_that_is_handled_begins_the_row_anew() -> None:
    brake = Brake()
    for _ in range(19):
        brake.buried()
    brake.handled()
    brake.buried()

    assert not brake.pulled


def test_one_in_twenty_pulls_it_once_there_were_two_hundred() -> None:
    brake, pulled_at = Brake(), None
    for seen in range(1, 400):
        brake.buried() if seen % 20 == 0 else brake.handled()
        if brake.pulled:
            pulled_at = seen
            break

    assert 200 == pulled_at


def test_what_is_long_past_does_not_count() -> None:
    brake = Brake()
    for seen in range(1_000):
        brake.buried() if seen < 38 and seen % 2 else brake.handled()
    for _ in range(1_000):
        brake.handled()
    for seen in range(49):
        brake.buried() if seen % 2 else brake.handled()

    assert not brake.pulled


def test_released_it_counts_anew() -> None:
    brake = Brake()
    for _ in range(20):
        brake.buried()
    brake.release()

    assert not brake.pulled
