"""A Presidio analyzer as a recogniser (extra ``presidio``)."""

from collections.abc import Collection, Sequence
from importlib.metadata import version
from typing import Any

import tldextract
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider
from typing_extensions import override

from infra.recognisers.scores import calibrated
from infra.recognisers.setup import PRESIDIO_LABELS, Setup
from infra.recognisers.spacy import pipeline
from pipeline.ports.recognisers import Mention, Recogniser
from schemas.policies import DataClass


class PresidioRecogniser(Recogniser):
    """What Presidio's recognisers find, with its own scores."""

    def __init__(self, setup: Setup) -> None:
        # Its e-mail recogniser would fetch the list of public suffixes.
        suffixes: Any = tldextract
        suffixes.extract = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
        self._language = setup.language
        self._labels = {**PRESIDIO_LABELS, **setup.labels}
        self._calibration = setup.calibration
        self._analyzer = _analyzer(setup)
        self.version = version("presidio-analyzer")

    @override
    def recognise(self, text: str, classes: Collection[DataClass]) -> Sequence[Mention]:
        """See the port."""
        wanted = [label for label, each in self._labels.items() if each in classes]
        results: Any = self._analyzer.analyze(
            text, language=self._language, entities=wanted
        )
        return [
            Mention(
                self._labels[each.entity_type],
                each.entity_type.lower(),
                each.start,
                each.end,
                calibrated(each.score, self._calibration),
            )
            for each in results
        ]


def _analyzer(setup: Setup) -> Any:
    # Never `load()`: it downloads what it does not find.
    models = [{"lang_code": setup.language, "model_name": setup.model or "blank"}]
    engine: Any = SpacyNlpEngine(models=models)
    engine.nlp = {setup.language: pipeline(setup)}
    return AnalyzerEngine(
        registry=_registry(setup, engine),
        nlp_engine=engine,
        supported_languages=[setup.language],
    )


def _registry(setup: Setup, engine: Any) -> Any:
    if setup.registry is not None:
        provider = RecognizerRegistryProvider(conf_file=setup.registry)
        return provider.create_recognizer_registry()
    registry = RecognizerRegistry(supported_languages=[setup.language])
    registry.load_predefined_recognizers(languages=[setup.language], nlp_engine=engine)
    return registry
