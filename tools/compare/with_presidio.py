#!/usr/bin/env python3
"""Presidio's pattern recognisers on labelled texts: python with_presidio.py --data FILE.jsonl[.zst] [--threshold 0.4]

Every recogniser that needs no model and no service is on, for every text, those that are off by default and those of
single countries as well. Words near a number are read by a tokeniser of spaCy without a model.
"""

import argparse
import inspect
import json

import presidio_analyzer.predefined_recognizers as shipped
import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, PatternRecognizer, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from spacy.language import Language

from labelled import Tally, overlap, rows

LANGUAGE = "en"

# Entities of Presidio by the types of labels. Those that no label means are left out: they could only be wrong.
TYPES = {
    "CREDIT_CARD": ["CREDIT_CARD"],
    "CRYPTO_ADDRESS": ["CRYPTO"],
    "EMAIL": ["EMAIL_ADDRESS"],
    "IBAN": ["IBAN_CODE"],
    "IP_ADDRESS": ["IP_ADDRESS"],
    "MAC_ADDRESS": ["MAC_ADDRESS"],
    "PHONE": ["PHONE_NUMBER", "ZA_MOBILE_NUMBER", "ZA_TELEPHONE_NUMBER"],
    "US_SSN": ["US_SSN", "US_ITIN"],
    "DATE_OF_BIRTH": ["DATE_TIME"],
    "ADDRESS": ["CA_POSTAL_CODE", "DE_PLZ", "UK_POSTCODE"],
    "PASSPORT": [f"{c}_PASSPORT" for c in ("DE", "ES", "IN", "IT", "KR", "PH", "UK", "US", "ZA")],
    "DRIVER_LICENSE": [
        "DE_FUEHRERSCHEIN", "IT_DRIVER_LICENSE", "KR_DRIVER_LICENSE", "UK_DRIVING_LICENCE", "US_DRIVER_LICENSE",
        "ZA_DRIVER_LICENSE",
    ],
    "LICENSE_PLATE": [
        "DE_KFZ", "IN_VEHICLE_REGISTRATION", "NG_VEHICLE_REGISTRATION", "TR_LICENSE_PLATE", "UK_VEHICLE_REGISTRATION",
        "ZA_LICENSE_PLATE",
    ],
    "TAX_ID": [
        "AU_ABN", "AU_TFN", "CA_SIN", "DE_TAX_ID", "DE_TAX_NUMBER", "DE_VAT_ID", "ES_NIE", "ES_NIF", "IN_GSTIN",
        "IN_PAN", "IT_FISCAL_CODE", "IT_VAT_CODE", "PH_TIN", "PL_PESEL", "UK_NHS", "US_PROVIDER_TAX_ID",
        "ZA_INCOME_TAX_NUMBER",
    ],
}
TYPE_OF = {entity: name for name, entities in TYPES.items() for entity in entities}

# Any date: where it is no birthday, that is no mistake.
BROAD = {"DATE_TIME"}


@Language.component("lower_lemmas")
def lower_lemmas(doc):
    for token in doc:
        token.lemma_ = token.lower_
    return doc


def analyzer():
    # The list of top levels that comes with it, and not one from the net.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
    nlp = spacy.blank("xx")
    nlp.add_pipe("lower_lemmas")
    engine = SpacyNlpEngine()
    engine.nlp = {LANGUAGE: nlp}
    registry = RecognizerRegistry(supported_languages=[LANGUAGE])
    for recognizer in recognizers():
        recognizer.supported_language = LANGUAGE
        registry.add_recognizer(recognizer)
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[LANGUAGE])


def recognizers():
    """All that work by patterns, and those of telephone numbers."""
    bases = (EntityRecognizer, PatternRecognizer)
    for name, kind in sorted(vars(shipped).items()):
        if not inspect.isclass(kind) or not issubclass(kind, EntityRecognizer) or kind in bases:
            continue
        by_pattern = issubclass(kind, PatternRecognizer) or kind.__module__.endswith("phone_recognizer")
        by_number = "Number" in name and name.startswith("Za") and not inspect.isabstract(kind)
        if by_pattern or by_number:
            recognizer = kind()
            if any(entity in TYPE_OF for entity in recognizer.supported_entities):
                yield recognizer


def finds(results, row):
    """Of results that overlap the one that is right stays, or else the one with the best score."""
    labels = [(span["start"], span["end"], span["type"]) for span in row.get("spans") or []]

    def is_right(result):
        span = (result.start, result.end)
        return any(overlap(span, label) and TYPE_OF[result.entity_type] == label[2] for label in labels)

    kept = []
    results = [result for result in results if result.entity_type in TYPE_OF]
    order = lambda result: (not is_right(result), -result.score, result.start - result.end)
    for result in sorted(results, key=order):
        if result.entity_type in BROAD and not is_right(result):
            continue
        find = (result.start, result.end, TYPE_OF[result.entity_type])
        if not any(overlap(find, other) for other in kept):
            kept.append(find)
    return sorted(kept)


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--data", required=True)
    args.add_argument("--threshold", type=float, default=0.0, help="finds with a lower score do not count")
    args = args.parse_args()
    engine, tally = analyzer(), Tally()
    for row in rows(args.data):
        results = engine.analyze(row["text"], language=LANGUAGE, score_threshold=args.threshold)
        tally.add(row, finds(results, row))
    print(json.dumps(tally.report()))


if __name__ == "__main__":
    main()
