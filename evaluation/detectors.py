"""Who is measured: Sluice, and presidio-analyzer where it is installed."""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from evaluation.documents import LABELS, Span
from infra.recipes import load_recipe
from pipeline.detection.engine import Recipe, build, inspect
from pipeline.detection.recipe import THRESHOLD

Detector = Callable[[str], list[Span]]
PRESIDIO_THRESHOLD = 0.35


def sluice(recipe: Recipe) -> Detector:
    """Findings that reach their class's default threshold."""

    def found(text: str) -> list[Span]:
        return [
            Span(each.data_class.value, each.start, each.end)
            for each in inspect(text, recipe).findings
            if each.confidence >= recipe.thresholds.get(each.data_class, THRESHOLD)
        ]

    return found


def presidio() -> Detector:
    """Default recognisers over a blank English pipeline, nothing downloaded.

    ``EVAL_SPACY_MODEL`` names an installed spaCy model, for its names.
    """
    spacy: Any = import_module("spacy")
    tldextract: Any = import_module("tldextract")
    presidio_analyzer: Any = import_module("presidio_analyzer")
    nlp: Any = import_module("presidio_analyzer.nlp_engine")
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    engine = nlp.SpacyNlpEngine.__new__(nlp.SpacyNlpEngine)
    nlp.SpacyNlpEngine.__init__(
        engine, models=[{"lang_code": "en", "model_name": "en"}]
    )
    model = os.environ.get("EVAL_SPACY_MODEL")  # noqa: TID251 - a measuring script
    engine.nlp = {"en": spacy.load(model) if model else spacy.blank("en")}
    registry = presidio_analyzer.RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    analyzer = presidio_analyzer.AnalyzerEngine(
        registry=registry, nlp_engine=engine, supported_languages=["en"]
    )

    def found(text: str) -> list[Span]:
        results: Any = analyzer.analyze(
            text, language="en", score_threshold=PRESIDIO_THRESHOLD
        )
        told = LABELS["presidio"]
        return [
            Span(told[r.entity_type], r.start, r.end)
            for r in results
            if r.entity_type in told
        ]

    return found


def detectors() -> Mapping[str, Detector]:
    """By name; the structured engine alone too, as that is what Presidio's is like."""
    made = {"sluice": sluice(load_recipe()), "structured": sluice(build())}
    if find_spec("presidio_analyzer") and find_spec("spacy"):
        made["presidio"] = presidio()
    return made
