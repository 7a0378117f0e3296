"""What an operator says of one recogniser, as its process is told it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.policies import DataClass

PRESIDIO_LABELS: Final[Mapping[str, DataClass]] = {
    "PERSON": DataClass.PERSON,
    "EMAIL_ADDRESS": DataClass.EMAIL,
    "PHONE_NUMBER": DataClass.PHONE,
    "CREDIT_CARD": DataClass.CARD,
    "IBAN_CODE": DataClass.BANK,
    "US_BANK_NUMBER": DataClass.BANK,
    "CRYPTO": DataClass.CRYPTO,
    "IP_ADDRESS": DataClass.NETWORK,
    "MAC_ADDRESS": DataClass.NETWORK,
    "URL": DataClass.URL,
    "MEDICAL_LICENSE": DataClass.MEDICAL_ID,
    "UK_NHS": DataClass.GOV_ID,
    "UK_NINO": DataClass.GOV_ID,
    "US_SSN": DataClass.GOV_ID,
    "US_ITIN": DataClass.GOV_ID,
    "US_PASSPORT": DataClass.GOV_ID,
    "US_DRIVER_LICENSE": DataClass.GOV_ID,
    "ES_NIF": DataClass.GOV_ID,
    "ES_NIE": DataClass.GOV_ID,
    "IT_FISCAL_CODE": DataClass.GOV_ID,
    "PL_PESEL": DataClass.GOV_ID,
    "IN_AADHAAR": DataClass.GOV_ID,
    "IN_PAN": DataClass.GOV_ID,
    "SG_NRIC_FIN": DataClass.GOV_ID,
    "AU_TFN": DataClass.GOV_ID,
    "AU_MEDICARE": DataClass.MEDICAL_ID,
}
SPACY_LABELS: Final[Mapping[str, DataClass]] = {
    "PERSON": DataClass.PERSON,
    "PER": DataClass.PERSON,
}
"""Places are no addresses: who wants them says so in ``labels``."""


class Setup(BaseModel):
    """One recogniser.

    Attributes:
        model: a spaCy pipeline, as an installed package or a folder; None: a blank one.
            Nothing is downloaded.
        registry: Presidio's own YAML of recognisers; None: those that it comes with.
        labels: its labels, and what they are here; beside the usual ones.
        score: what a find counts as, where the recogniser says nothing of how sure it
            is (spaCy).
        calibration: Platt's slope and offset for the log-odds of its scores.
        budget_s: for the texts of one request; beyond it, it has seen nothing.
        start_s: to load its model.
        memory_mb: address space of its process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["presidio", "spacy"]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] = "en"
    model: str | None = None
    registry: Path | None = None
    labels: Mapping[str, DataClass] = {}
    score: Annotated[float, Field(gt=0, lt=1)] = 0.85
    calibration: tuple[float, float] = (1.0, 0.0)
    budget_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    start_s: Annotated[float, Field(gt=0, le=600)] = 60.0
    memory_mb: Annotated[int, Field(ge=256, le=65_536)] = 4_096
