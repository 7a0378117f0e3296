"""Documents a second and core: CPU time of one thread, best of three."""

from time import process_time

from evaluation.detectors import Detector

DENSE = (
    "Nora Lind (nora.lind@mail.example, +49 30 9012345) paid with 4111 1111 1111 1111; "
    "IBAN DE89 3704 0044 0532 0130 00, SSN 219-09-9999, born 3 May 1980, host "
    "203.0.113.9, ticket 88231. Please confirm to Dr. Okafor by Friday, and quote the "
    "reference in the subject of your answer so that it reaches the right desk. "
)
CLEAN = (
    "The committee looked at the plan for the new library and asked for a second draft "
    "with fewer rooms, more light and a smaller hall, because the first one cost too "
    "much and took too long to build in the narrow street behind the old market. "
)
SIZE = 1024


def sample(text: str) -> str:
    """One kilobyte of it."""
    return (text * (SIZE // len(text) + 1))[:SIZE]


def rate(detector: Detector, text: str, seconds: float = 0.5) -> float:
    """Documents a second, best of three after a warm-up."""
    detector(text)
    return max(_once(detector, text, seconds) for _ in range(3))


def _once(detector: Detector, text: str, seconds: float) -> float:
    done, begun = 0, process_time()
    while (spent := process_time() - begun) < seconds:
        detector(text)
        done += 1
    return done / spent
