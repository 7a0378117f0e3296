"""A spaCy pipeline as a recogniser (extra ``spacy``)."""

from collections.abc import Collection, Sequence
from typing import Any

import spacy
from typing_extensions import override

from infra.recognisers.scores import calibrated
from infra.recognisers.setup import SPACY_LABELS, Setup
from pipeline.ports.recognisers import Mention, Recogniser
from schemas.policies import DataClass


def pipeline(setup: Setup) -> Any:
    """The operator's pipeline; a blank one, where none is named.

    Raises:
        OSError: it is not installed; it is not downloaded.
    """
    return spacy.load(setup.model) if setup.model else spacy.blank(setup.language)


class SpacyRecogniser(Recogniser):
    """Entities of a pipeline; spaCy does not say how sure it is."""

    def __init__(self, setup: Setup) -> None:
        self._nlp = pipeline(setup)
        self._labels = {**SPACY_LABELS, **setup.labels}
        self._sure = calibrated(setup.score, setup.calibration)
        meta = self._nlp.meta
        self.version = f"{meta['name'] or 'blank'}-{meta['version']}"

    @override
    def recognise(self, text: str, classes: Collection[DataClass]) -> Sequence[Mention]:
        """See the port."""
        return [
            Mention(found, ent.label_.lower(), ent.start_char, ent.end_char, self._sure)
            for ent in self._nlp(text).ents
            if (found := self._labels.get(ent.label_)) in classes and found is not None
        ]
