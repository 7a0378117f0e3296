"""What a look costs: CPU time of one thread, so a busy machine changes little."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import process_time
from typing import Final

from evaluation.detectors import Detector
from evaluation.documents import Document
from infra.recipes import load_recipe
from pipeline.detection.engine import Recipe, inspect
from pipeline.policies import default_policy
from pipeline.redaction import Redacted, redact
from pipeline.screening import screen
from pipeline.streams import StreamRedactor
from pipeline.text import Channel, TextPart
from pipeline.tokens import Session

DENSE: Final = (
    "Nora Lind (nora.lind@mail.example, +49 30 9012345) paid with 4111 1111 1111 1111; "
    "IBAN DE89 3704 0044 0532 0130 00, SSN 219-09-9999, born 3 May 1980, host "
    "203.0.113.9, ticket 88231. Please confirm to Dr. Okafor by Friday, and quote the "
    "reference in the subject of your answer so that it reaches the right desk. "
)
CLEAN: Final = (
    "The committee looked at the plan for the new library and asked for a second draft "
    "with fewer rooms, more light and a smaller hall, because the first one cost too "
    "much and took too long to build in the narrow street behind the old market. "
)
SIZE: Final = 1024
PROMPT: Final = 400
WORST: Final = (
    "a.", "www.", "(1) ", "ab:", "1-", "a@", "eyJ", "%41", "&#1;", "A b ",
    "My name is A ", "4111 1111 1111 1111 ", "a@b.example ",
)  # fmt: skip
WORST_SIZE: Final = 65_536
ROUNDS: Final = 3
NONCE: Final = "K7QX"
CHUNK: Final = 16
"""Characters that a model's stream brings at a time."""


def sample(text: str, size: int = SIZE) -> str:
    """So many characters of it, said again and again."""
    return (text * (size // len(text) + 1))[:size]


def rates(made: Mapping[str, Detector]) -> dict[str, dict[str, float]]:
    """Documents of 1 KB a second, who by who in turn: the best of three rounds."""
    texts = {"dense": sample(DENSE), "clean": sample(CLEAN)}
    best: dict[str, dict[str, float]] = {who: dict.fromkeys(texts, 0.0) for who in made}
    for detector in made.values():
        detector(texts["dense"])
    for _ in range(ROUNDS):
        for who, detector in made.items():
            for kind, text in texts.items():
                best[who][kind] = max(best[who][kind], round(_rate(detector, text)))
    return best


def _rate(detector: Detector, text: str, seconds: float = 0.5) -> float:
    done, begun = 0, process_time()
    while (spent := process_time() - begun) < seconds:
        detector(text)
        done += 1
    return done / spent


def kilobytes(documents: Sequence[Document], most: int = 300) -> Iterator[str]:
    """Texts of about 1 KB out of short documents that stand next to each other."""
    held = ""
    for document in documents:
        held += document.text + "\n"
        if len(held) >= SIZE:
            yield held[:SIZE]
            held, most = "", most - 1
        if not most:
            return


def percentiles(detector: Detector, texts: Sequence[str]) -> Mapping[str, float]:
    """``p50`` and ``p99`` in milliseconds, of the better of two looks at each text."""
    spent = sorted(
        min(_milliseconds(lambda: detector(text)) for _ in range(2))  # noqa: B023
        for text in texts
    )
    return {
        f"p{share}": round(spent[min(len(spent) - 1, len(spent) * share // 100)], 3)
        for share in (50, 99)
    }


def costs() -> Mapping[str, float]:
    """What redaction, streams and screening cost, and the worst text of 64 KB."""
    recipe = load_recipe()
    return {
        "worst_ms": round(_worst(recipe), 1),
        "entity_us": round(_entity(recipe), 1),
        "chunk_us": round(_chunk(recipe), 1),
        "prompt_ms": round(_prompt(recipe), 3),
    }


def _worst(recipe: Recipe) -> float:
    texts = [sample(unit, WORST_SIZE) for unit in WORST]
    return max(_best(lambda: inspect(text, recipe)) for text in texts)  # noqa: B023


def _entity(recipe: Recipe) -> float:
    """Microseconds of redaction beyond the look, for each value that is replaced."""
    text, policy = sample(DENSE), default_policy()
    part = TextPart((), Channel.USER, text)
    done = redact([part], policy, recipe, NONCE)
    if not isinstance(done, Redacted):
        raise TypeError("expected a redacted text")
    looked = _best(lambda: inspect(text, recipe))
    whole = _best(lambda: redact([part], policy, recipe, NONCE))
    return 1_000 * (whole - looked) / max(1, done.parts[0].text.count(f"_{NONCE}_"))


def _chunk(recipe: Recipe) -> float:
    """Microseconds for each chunk of an answer; the look is in it."""
    text = sample(CLEAN, 4 * SIZE)
    chunks = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]

    def streamed() -> None:
        stream = StreamRedactor(
            policy=default_policy(), recipe=recipe, session=Session(NONCE)
        )
        for chunk in chunks:
            stream.feed(chunk)
        stream.end()

    return 1_000 * _best(streamed) / len(chunks)


def _prompt(recipe: Recipe) -> float:
    """Milliseconds of screening for a prompt of 400 characters."""
    part = TextPart((), Channel.USER, sample(CLEAN, PROMPT))
    return _best(lambda: screen([part], default_policy(), recipe))


def _best(work: Callable[[], object]) -> float:
    return min(_milliseconds(work) for _ in range(ROUNDS))


def _milliseconds(work: Callable[[], object]) -> float:
    begun = process_time()
    work()
    return 1_000 * (process_time() - begun)
