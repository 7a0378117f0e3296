"""From a recogniser's score to a confidence."""

import math
from typing import Final

from pipeline.detection.rules import confidence

_LEAST: Final = 1e-6


def calibrated(score: float, calibration: tuple[float, float]) -> float:
    """The probability that a score stands for, by Platt's slope and offset."""
    sure = min(max(score, _LEAST), 1 - _LEAST)
    return confidence(math.log(sure / (1 - sure)), calibration)
