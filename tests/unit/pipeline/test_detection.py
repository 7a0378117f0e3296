"""The engine: every class is found, near misses are not, disguises are undone."""

from base64 import b64encode, encodebytes, urlsafe_b64encode
from dataclasses import replace
from itertools import pairwise
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.recipes import load_recipe
from pipeline.detection.engine import (
    MAX_PART_BYTES,
    Finding,
    GuardFailed,
    build,
    inspect,
)
from pipeline.detection.normalise import _LETTERS, normalise
from pipeline.detection.phones import MAX_PARSED, Phones
from pipeline.detection.rules import Rule
from pipeline.detection.sets import PatternSet
from pipeline.detection.work import PER_BYTES as CHUNK
from pipeline.detection.work import GuardTimedOut
from schemas.policies import DataClass, Guard
from tests.support.spent import spent

RECIPE = build()
SURE = 0.5


def found(text: str) -> set[tuple[str, str]]:
    """Class and value of what a default policy acts on."""
    return {
        (each.data_class.value, text[each.start : each.end])
        for each in inspect(text, RECIPE).findings
        if each.confidence >= SURE
    }


def of_class(text: str, wanted: str) -> list[Finding]:
    return [
        each
        for each in inspect(text, RECIPE).findings
        if each.data_class == wanted and each.confidence >= SURE
    ]


POSITIVE = [
    ("EMAIL", "write to {}", "nora.lind@mail.example"),
    ("EMAIL", "write to {}", "nora at mail dot com"),
    ("EMAIL", "bitte an {} senden", "jürgen@büro.example"),
    ("PHONE", "call {} today", "+49 30 9012345"),
    ("PHONE", "call {} today", "(212) 555-0187"),
    ("PHONE", "phone {}", "0161 496 0123"),
    ("PHONE", "phone #{}", "212-555-0187"),
    ("PHONE", "reach me at {}", "212-555-0187 x204"),
    ("CARD", "pay with {}", "4111 1111 1111 1111"),
    ("CARD", "pay with {}", "5500005555555559"),
    ("CARD", "pay with {}", "3782-822463-10005"),
    ("CARD", "card #{}", "4111 1111 1111 1111"),
    ("CARD", "the cvv is {}", "412"),
    ("BANK", "iban {}", "DE89 3704 0044 0532 0130 00"),
    ("BANK", "IBAN: {}", "GB82WEST12345698765432"),
    ("BANK", "swift {}", "DEUTDEFF"),
    ("BANK", "account number: {}", "3300412298"),
    ("GOV_ID", "SSN {}", "219-09-9999"),
    ("GOV_ID", "SSN #{}", "219-09-9999"),
    ("GOV_ID", "nhs number {}", "943 476 5919"),
    ("GOV_ID", "NI {}", "AB 12 34 56 C"),
    ("GOV_ID", "SIN {}", "046 454 286"),
    ("GOV_ID", "CPF {}", "390.533.447-05"),
    ("GOV_ID", "PESEL {}", "44051401359"),
    ("GOV_ID", "DNI {}", "12345678Z"),
    ("GOV_ID", "codice fiscale {}", "RCCMNL83S18D969H"),
    ("GOV_ID", "Steuer-ID {}", "36 574 261 809"),
    ("GOV_ID", "aadhaar {}", "2341 2341 2346"),
    ("GOV_ID", "personnummer {}", "880320-0016"),
    ("GOV_ID", "BSN {}", "111222333"),
    ("GOV_ID", "kimlik {}", "17291716060"),
    ("GOV_ID", "身份证号 {}", "11010519491231002X"),
    ("GOV_ID", "passport no. {}", "X1234567"),
    ("MEDICAL_ID", "MRN: {}", "40021877"),
    ("SECRET", "key {}", "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2),
    ("SECRET", "password: {}", "hunter22x"),
    ("SECRET", "{}", "postgres://app:s3cr3tpw@db.internal/main"),
    ("SECRET", "use {} here", "postgres://app:S3cr3tPw9@db:5432/todo"),
    ("SECRET", "use {}", "postgres://app:S3cr3tPw9@10.0.0.5:5432/test"),
    ("SECRET", "use {} now", "amqp://app:S3cr3tPw9@sample-queue.internal/x"),
    ("SECRET", "use {} now", "redis://:S3cr3tPw9@cache.internal:6379/0"),
    ("NETWORK", "from {}", "203.0.113.9"),
    ("NETWORK", "host {}", "2001:db8:85a3::8a2e:370:7334"),
    ("NETWORK", "mac {}", "3c:22:fb:0e:4d:91"),
    ("CRYPTO", "send to {}", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ("CRYPTO", "btc {}", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
    ("PLATE", "VIN {}", "1M8GDM9AXKP042788"),
    ("BIRTH_DATE", "born on {}", "3 May 1980"),
    ("BIRTH_DATE", "Geburtsdatum: {}", "03.05.1980"),
    ("BIRTH_DATE", '{{"dateOfBirth":"{}"}}', "1980-05-03T00:00:00Z"),
    ("BIRTH_DATE", "birth date {} or so", "1980-05-03T00:00:00.000+02:00"),
    ("PERSON", "My name is {}.", "Nora Lind"),
    ("PERSON", "ask Dr. {} about it", "Okafor"),
    ("ADDRESS", "she lives at {}", "742 Elm Street, Springfield, IL 62704"),
    ("ADDRESS", "Adresse: {}", "Lindenstraße 12, 50674 Köln"),
    ("ADDRESS", "habite au {}", "12 rue de la Paix, 75002 Paris"),
    ("ADDRESS", "vivo en {}", "Calle de Alcalá 45, 28014 Madrid"),
    ("ADDRESS", "send it to {}", "PO Box 1187"),
    ("HEALTH", "the patient was diagnosed with {}", "asthma"),
    ("HEALTH", "she takes {} for her condition", "sertraline"),
    ("GOV_ID", "my SSN: {}", "219099999"),
    ("GOV_ID", "Reisepass {}", "C01X00T47"),
    ("GOV_ID", "passeport n° {}", "12AB34567"),
    ("BIOMETRIC", '{{"face_template": "{}"}}', "aGVsbG8gd29ybGQgdGhpcyBpcyBh"),
    ("BIOMETRIC", "stored {} of the employee", "fingerprint template"),
    ("URL", "see {}", "https://wiki.example/page?id=4"),
]


@pytest.mark.parametrize(("data_class", "frame", "value"), POSITIVE)
def test_each_kind_is_found(data_class: str, frame: str, value: str) -> None:
    assert (data_class, value) in found(frame.format(value))


NEAR_MISSES = [
    ("CARD", "ticket 4111 1111 1111 1112"),
    ("CARD", "0000 0000 0000 0000"),
    ("BANK", "ref DE89 3704 0044 0532 0130 01"),
    ("GOV_ID", "order no. 219-09-9999"),
    ("GOV_ID", "943 476 5918 parts"),
    ("GOV_ID", "000-12-3456"),
    ("GOV_ID", "logged in from 110.43.23.214, then 113.23.79.250"),
    ("PHONE", "released on 2024-03-17"),
    ("PHONE", "version 10.14.2201"),
    ("PHONE", "see #212-555-0187"),
    ("GOV_ID", "see #219-09-9999 and #9434765919"),
    ("BIRTH_DATE", "the meeting is at 2024-03-17T10:00:00Z"),
    ("NETWORK", "version 1.2.3.4"),
    ("NETWORK", "999.1.2.3"),
    ("BIRTH_DATE", "the meeting is on 2024-03-17"),
    ("SECRET", "password: changeme"),
    ("SECRET", "api_key = ${API_KEY}"),
    ("SECRET", "postgres://user:password@db:5432/main"),
    ("SECRET", "postgres://app:${PASSWORD}@db:5432/main"),
    ("HEALTH", "the asthma foundation opened a museum"),
    ("ADDRESS", "the street was long and the road was wide"),
    ("BIOMETRIC", "facial recognition is a field of research"),
    ("EMAIL", "we met @noon at the door"),
    ("PERSON", "My name is on the list."),
    ("CRYPTO", "0x52908400098527886E0F70300698"),
]


@pytest.mark.parametrize(("data_class", "text"), NEAR_MISSES)
def test_near_misses_are_not_acted_on(data_class: str, text: str) -> None:
    assert [] == of_class(text, data_class)


DISGUISES = [
    ("EMAIL", "nora.lind＠mail.example"),
    ("EMAIL", "nora\u200b.lind@mail\u200b.example"),
    ("EMAIL", "nоra.lind@mail.example"),
    ("CARD", "card ４１１１ １１１１ １１１１ １１１１"),
    ("CARD", "card 4111\u00a01111\u00a01111\u00a01111"),
    ("CARD", "card 4111‑1111‑1111‑1111"),
    *(
        ("CARD", f"card 4111{dash}1111{dash}1111{dash}1111")
        for dash in "‐‒–—―−﹣\ufe58\u207b\u208b\u2043\u2e3a\u1806"
    ),
    ("CARD", "card ４１１１ー１１１１ー１１１１ー１１１１"),
    ("PHONE", "電話 ０３ー１２３４ー５６７８"),
    ("EMAIL", "nora.lind＠mail。example"),
    ("EMAIL", "nora.lind@mail\uff61example"),
    *(
        ("CARD", f"card 4111 11{unseen}11 1111{unseen} 1111")
        for unseen in (
            "\x00", "\x08", "\x1b", "\x7f", "\x9d", "\u115f", "\u1160", "\u17b4",
            "\u180f", "\u2065", "\u3164", "\uffa0", "\ufff9", "\U0001d173",
            "\U000e0fff",
        )
    ),
    ("CARD", "card 4\u03361\u033611 1111 1\ufe0f\u20e31\ufe0f\u20e311 1111"),
    ("PHONE", "call ٠١٦١ ٤٩٦ ٠١٢٣"),
    ("EMAIL", "nora.lind%40mail.example%20now"),
    ("EMAIL", "https://a.example/?to=nora.lind%40mail.example"),
    ("EMAIL", "nora.lind&#64;mail.example"),
    ("EMAIL", b64encode(b"nora.lind@mail.example").decode()),
    ("GOV_ID", b64encode(b"my ssn is 219-09-9999").decode()),
]  # fmt: skip


@pytest.mark.parametrize(("data_class", "text"), DISGUISES)
def test_disguises_are_undone(data_class: str, text: str) -> None:
    assert of_class(text, data_class)


WRITTEN = [
    (r'{"note": "paid by\n4111 1111 1111 1111\nthanks"}', "4111 1111 1111 1111"),
    (r'{"note": "SSN\t219-09-9999\tx"}', "219-09-9999"),
    (r'{"a": "{\"note\": \"SSN\\n219-09-9999\"}"}', "219-09-9999"),
    (r'{"note": "from:\nnora.lind@mail.example"}', "nora.lind@mail.example"),
    (r'{"mail": "nora\u0040mail.example"}', r"nora\u0040mail.example"),
    (r'{"patient": "N\u00f6ra Lind"}', r"N\u00f6ra Lind"),
    (r'{"a": "{\"password\": \"hunter22x\"}"}', "hunter22x"),
    (r'{"db": "amqp:\/\/app:s3cr3tpw@db\/x"}', r"amqp:\/\/app:s3cr3tpw@db\/x"),
    ('{"patient": "No\u0308ra Lind"}', "No\u0308ra Lind"),
    (r'{"page": "two\f4111111111111111"}', "4111111111111111"),
    (
        r'{"a": "ssn 219\udb40\udc20-09-9999"}',
        r"219\udb40\udc20-09-9999",
    ),
    (
        r'{"a": "mail \ud835\udc27\\ud835\\udc28ra@mail.example"}',
        r"\ud835\udc27\\ud835\\udc28ra@mail.example",
    ),
]


@pytest.mark.parametrize("before", range(0, 60, 3))
@pytest.mark.parametrize("end", ["\n", "\r\n", r"\n"])
def test_base64_in_lines_is_one_run(before: int, end: str) -> None:
    """As mail and ``encodebytes`` wrap it: a value may stand across the cut."""
    said = "x" * before + " her ssn is 219-09-9999, as before. "
    text = end.join(encodebytes(said.encode() * 2).decode().split())

    told = [each for each in inspect(text, RECIPE).findings if each.confidence >= SURE]

    assert [(0, len(text))] == [(each.start, each.end) for each in told]


def test_lines_that_are_no_run_are_read_one_by_one() -> None:
    secret = b64encode(b"my ssn is 219-09-9999").decode()

    for text in (f"{secret}\n{'z' * 28}", f"{'a_long_name_' * 3}\n{secret}\nend"):
        assert {("GOV_ID", secret)} == found(text)


@pytest.mark.parametrize(("text", "value"), WRITTEN)
def test_what_stands_escaped_is_read_as_it_is_meant(text: str, value: str) -> None:
    """As tools and their callers write it: with an escape right beside a value."""
    assert value in {told for _, told in found(text)}


def test_accents_that_stand_apart_hide_no_name() -> None:
    text = "please call Zoë Fernández today"

    apart = inspect(normalize("NFD", text), load_recipe()).findings

    assert [f.confidence for f in inspect(text, load_recipe()).findings] == [
        f.confidence for f in apart
    ]
    assert apart


def test_a_minor_is_marked_and_nothing_is_displaced() -> None:
    text = "my daughter is 9 years old, mail nora@mail.example"

    assert {"MINOR", "EMAIL"} == {data_class for data_class, _ in found(text)}


def test_a_disguise_is_a_signal() -> None:
    assert ("disguise.homoglyph",) == inspect("pаssword", RECIPE).signals


def test_a_header_of_a_table_is_context() -> None:
    assert of_class("id,ssn,city\n1,219-09-9999,Bonn", "GOV_ID")


def test_an_open_private_key_is_found_to_the_end() -> None:
    text = "see -----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow" * 200

    [finding] = of_class(text, "SECRET")

    assert (4, len(text)) == (finding.start, finding.end)


def test_a_set_that_never_compiled_does_not_look_like_a_clean_text() -> None:
    silent = PatternSet(["a+"], compiled=False)

    assert [0] == silent.hits(b"xxaxx")


def test_letters_beyond_ascii_end_no_word_of_context() -> None:
    assert [] == of_class("éssné 219099999", "GOV_ID")
    assert of_class("ssn 219099999", "GOV_ID")


def test_a_closed_private_key_ends_where_it_ends() -> None:
    begin, end = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    text = f"see {begin}\nMIIEow\n{end} and more"

    [finding] = of_class(text, "SECRET")

    assert ("private_key", 4) == (finding.kind, finding.start)
    assert text[: finding.end].endswith(end)


@pytest.mark.parametrize("growing", ["ﷺ", "㎏", "ﬁ", "½", "…"])
def test_a_character_that_grows_moves_no_offset(growing: str) -> None:
    text = f"{growing * 9} nora.lind@mail.example {growing}"

    assert ("EMAIL", "nora.lind@mail.example") in found(text)


def test_digits_of_an_iban_are_not_read_as_something_else() -> None:
    assert {("BANK", "DE89 3704 0044 0532 0130 00")} == found(
        "iban DE89 3704 0044 0532 0130 00"
    )


def test_the_clock_is_looked_at_only_where_one_is_given() -> None:
    text = "nora.lind@mail.example " * 400
    late = iter([0.0] + [1_000.0] * 9)

    with pytest.raises(GuardTimedOut):
        inspect(text, RECIPE, clock=lambda: next(late))
    assert inspect(text, RECIPE) == inspect(text, RECIPE, clock=lambda: 0.0)


def test_regions_tell_which_bare_numbers_are_phones() -> None:
    def confidence(*regions: str) -> float:
        seen = inspect("ask for 0309012345 tomorrow", RECIPE, regions=regions)
        return max((f.confidence for f in seen.findings), default=0.0)

    assert confidence("DE") > confidence("US")
    assert confidence("US") == confidence()


def test_no_more_numbers_than_may_be_are_parsed() -> None:
    phones = Phones(b"", ("US",))
    for number in range(2 * MAX_PARSED):
        phones.valid(f"20155{number:05}")

    assert MAX_PARSED == phones.parsed


def test_a_text_beyond_the_limit_is_refused() -> None:
    with pytest.raises(GuardFailed):
        inspect("a" * (MAX_PART_BYTES + 1), RECIPE)


def test_a_lone_surrogate_is_no_failure() -> None:
    assert ("EMAIL", "a@b.example") in found("\ud800 a@b.example")


_HEAD = urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').decode().rstrip("=")
_BODY = urlsafe_b64encode(b'{"sub":"%s"}' % (b"a" * 900)).decode().rstrip("=")
LONG = [
    "nora.lind@mail.example", "ssn 219-09-9999", f"{_HEAD}.{_BODY}.abcDEF123_-abc",
    "https://app:s3cr3tpw@db.internal/" + "x" * 400, "DE89 3704 0044 0532 0130 00",
    b64encode(b"write to nora.lind@mail.example " * 150).decode(),
]  # fmt: skip


@settings(max_examples=40)
@given(
    st.integers(1, 3),
    st.integers(-1_500, 200),
    st.sampled_from(LONG),
    st.sampled_from("x字 "),
)
def test_what_is_found_does_not_depend_on_where_it_stands(
    chunks: int, gap: int, value: str, filler: str
) -> None:
    around = " . . " * 20
    before = filler * ((chunks * CHUNK + gap) // len(filler.encode()))

    alone = inspect(around + value, RECIPE).findings
    far = inspect(before + around + value, RECIPE).findings

    assert alone
    assert [moved(each, len(before)) for each in alone] == list(far)


def moved(finding: Finding, by: int) -> Finding:
    return finding._replace(start=finding.start + by, end=finding.end + by)


def test_no_number_of_encoded_runs_hides_one() -> None:
    runs = " ".join([b64encode(b"some harmless words in").decode()] * 5_000)
    last = b64encode(b"mail nora.lind@mail.example now").decode()

    assert of_class(f"{runs} {last}", "EMAIL")


def test_no_length_of_an_encoded_run_hides_its_end() -> None:
    run = b64encode(b"harmless words " * 4_000 + b"mail nora.lind@mail.example now")

    assert of_class(run.decode(), "EMAIL")


def test_a_number_that_no_county_issued_is_no_crash() -> None:
    assert frozenset() == inspect("身份证号 136369998207186380", RECIPE).failed


def broken(_: str) -> bool:
    raise RuntimeError("a check went wrong")


def test_a_check_that_fails_is_its_guards_failure_and_its_match_is_told() -> None:
    rule = Rule(
        id="broken",
        data_class=DataClass.SECRET,
        pattern="zq[0-9]+",
        base=1.0,
        check=broken,
    )
    recipe = replace(RECIPE, rules=(*RECIPE.rules, rule))

    seen = inspect("zq12 and nora@mail.example", recipe)

    assert {Guard.SECRETS} == seen.failed
    assert [("broken", False), ("email", True)] == [
        (each.rule, each.checked) for each in seen.findings
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Dr. Smith\nDE89 3704 0044 0532 0130 00", "Smith"),
        ("My name is Nora Lind DE89 3704 0044 0532 0130 00", "Nora Lind"),
        ("Hauptstraße 5, 10115 Berlin AKIA2E0A8F3B244C9986", "Berlin"),
    ],
)
def test_a_name_ends_before_a_word_that_goes_on_behind_it(
    text: str, value: str
) -> None:
    """It took the letters of the number below it, was then part of a word, and left."""
    found = [text[f.start : f.end] for f in inspect(text, RECIPE).findings]

    assert any(each.endswith(value) for each in found)


@pytest.mark.parametrize("value", ["4111 1111 1111 1111", "(212) 555-0143"])
def test_a_number_behind_an_account_number_is_found(value: str) -> None:
    """Both are one run of digits: its groups were read across the end of the first."""
    iban = "DE89 3704 0044 0532 0130 00"
    text = f"{iban} {value}"

    found = [text[f.start : f.end] for f in inspect(text, RECIPE).findings]

    assert [iban, value] == found


def test_beyond_the_caps_everything_is_told_unchecked() -> None:
    text = "a@b.example " * 5_000

    seen = inspect(text, RECIPE)

    assert ("limit",) == seen.signals
    assert 5_000 * len("a@b.example") <= sum(f.end - f.start for f in seen.findings)


@pytest.mark.parametrize(
    "sure", ["-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "Al Ito"]
)
def test_beyond_the_caps_what_is_surer_frees_nothing_but_itself(sure: str) -> None:
    """One name at the end let all addresses before it go that nobody had looked at."""
    mails = "a@b.co " * 4_500
    text = f"{mails}{sure} {mails[:7_000]} My name is {sure}"

    seen = inspect(text, load_recipe())

    covered = sum(f.end - f.start for f in seen.findings)
    assert 5_500 * len("a@b.co") + len(sure) <= covered
    assert all(one.end <= two.start for one, two in pairwise(seen.findings))


@pytest.mark.parametrize("unit", ["a%40b.co ", "abc&#64;b.co "])
def test_beyond_the_caps_all_encoded_runs_are_told(unit: str) -> None:
    """Only the first of them was: what stands for the rest was the run of one."""
    count = 65_000 // len(unit)
    text = unit * count

    seen = inspect(text, RECIPE)

    assert count == sum(
        f.via.startswith("decoded:") and text[f.start : f.end] == unit.strip()
        for f in seen.findings
    )


WORST = ["a.", "www.", "(1) ", "ab:", "1-", "a@", "eyJ", "%41", "&#1;", "A b "]
WORST += ["\\", r"\u", r"\n1", "e\u0301", "\u0316\u0301"]


def test_many_numbers_in_a_row_are_all_found() -> None:
    text = "4111 1111 1111 1111 " * 3_000

    covered = sum(f.end - f.start for f in inspect(text, RECIPE).findings)

    assert covered >= 3_000 * len("4111 1111 1111 1111")


@pytest.mark.serial
@pytest.mark.parametrize("unit", WORST)
def test_worst_cases_are_bounded(unit: str) -> None:
    text = unit * (65_536 // len(unit))

    assert spent(lambda: inspect(text, RECIPE)) < 2.0


@given(
    st.text(max_size=200)
    | st.text(
        st.sampled_from('\\"/nrtu0041eo\u0301\u0336\ufe0f\u20e3\u00e9'), max_size=60
    )
)
def test_source_spans_hold_all_that_they_came_from(text: str) -> None:
    normal = normalise(text)

    for i, character in enumerate(normal.text):
        start, end = normal.source(i, i + 1)
        assert 0 <= start < end <= len(text)
        alone = normalise(text[start:end]).text
        looks = any(_LETTERS.get(each) == character for each in alone)
        assert looks or character in alone or not character.isalpha()


PIECES = st.sampled_from(
    [frame.format(value) for _, frame, value in POSITIVE]
    + [text for _, text in DISGUISES]
)


@settings(max_examples=60)
@given(st.lists(PIECES, max_size=6), st.text(max_size=30))
def test_no_overlap_is_left(pieces: list[str], noise: str) -> None:
    findings = inspect(noise.join(pieces), RECIPE).findings
    acting = [
        f for f in findings if f.data_class not in {DataClass.URL, DataClass.MINOR}
    ]

    assert all(one.end <= other.start for one, other in pairwise(acting))


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_any_text_can_be_looked_at(text: str) -> None:
    for each in inspect(text, RECIPE).findings:
        assert 0 <= each.start < each.end <= len(text)
