"""No check goes on line, and every rule can be told apart."""

from collections import Counter
from pathlib import Path

from pipeline.detection.checks import aba
from pipeline.detection.engine import Recipe

ON_LINE = ("check_vies", "check_dgii", "check_vkn", "check_ebill", "get_soap_client")
SLOW = ("PhoneNumberMatcher",)


def test_no_check_goes_on_line() -> None:
    sources = Path(__file__).parents[3].joinpath("pipeline").rglob("*.py")

    assert [] == [p.name for p in sources if any(o in p.read_text() for o in ON_LINE)]


def test_no_text_is_searched_by_the_slow_matcher_of_phones() -> None:
    sources = Path(__file__).parents[3].joinpath("pipeline").rglob("*.py")

    assert [] == [p.name for p in sources if any(o in p.read_text() for o in SLOW)]


def test_a_routing_number_begins_with_a_district() -> None:
    """All of them have the check digit of the American Bankers Association."""
    issued = ("021000021", "611000004", "721200008", "800000006")
    others = ("140000009", "200000004", "330000013")

    assert issued == tuple(filter(aba, issued + others))


def test_rule_ids_are_told_once() -> None:
    recipe = Recipe()
    ids = Counter([r.id for r in recipe.rules] + [p.id for p in recipe.phrases])

    twice = {name for name, count in ids.items() if count > 1}

    assert {"gov_id.cn.ric", "gov_id.fr.nir", "gov_id.kr.rrn"} >= twice
