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
    brake, pulled = Brake(), list[bool]()
    for seen in range(10_000):
        brake.buried() if seen % 22 == 21 else brake.handled()
        pulled.append(brake.pulled)

    assert not any(pulled)


def test_one_in_twenty_of_the_last_thousand_pulls_it_however_many_there_were() -> None:
    brake, pulled_after = Brake(), None
    for _ in range(10_000):
        brake.handled()
    for seen in range(1, 1_001):
        brake.buried() if seen % 2 else brake.handled()
        if brake.pulled:
            pulled_after = seen
            break

    assert 99 == pulled_after


def test_released_it_counts_the_row_anew() -> None:
    brake = Brake()
    for _ in range(20):
        brake.buried()
    brake.release()
    released = brake.pulled
    brake.buried()

    assert (False, False) == (released, brake.pulled)


def test_released_it_counts_the_share_anew() -> None:
    brake = Brake()
    for seen in range(400):
        brake.buried() if seen % 20 == 0 else brake.handled()
    before = brake.pulled
    brake.release()
    for _ in range(50):
        brake.buried()
        brake.handled()

    assert (True, False) == (before, brake.pulled)
