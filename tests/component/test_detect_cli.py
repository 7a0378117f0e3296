"""``sluice detect`` tells a person what would happen, and refuses a wrong policy."""

from pathlib import Path

from click.testing import CliRunner

from pipeline.detection.engine import build
from pipeline.policies import default_policy
from pipeline.text import Channel, TextPart
from producers.cli.detect import COLOURS, detect, rendered


def test_it_tells_class_rule_and_action() -> None:
    done = CliRunner().invoke(detect, ["-"], input="mail nora@mail.example")

    assert 0 == done.exit_code
    assert "EMAIL" in done.output
    assert "<EMAIL_DEMO_1>" in done.output
    assert "screening: allowed" in done.output


def test_explained_it_tells_what_stayed_below() -> None:
    done = CliRunner().invoke(detect, ["--explain", "-"], input="order no. 219-09-9999")

    assert "stays below 0.50" in done.output


def test_a_wrong_policy_is_refused_in_words(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"cells": [{"data_class": "MAIL"}]}')

    done = CliRunner().invoke(detect, ["--policy", str(policy), "-"], input="x")

    assert 2 == done.exit_code
    assert "cells.0.data_class" in done.output


def test_colours_tell_what_is_done() -> None:
    text = "card 4111 1111 1111 1111, mail nora@mail.example, https://a.example/"
    part = TextPart(("text",), Channel.USER, text)

    shown = next(rendered(part, default_policy(), build(), explain=False))

    assert {
        ("4111 1111 1111 1111", COLOURS["strict"]),
        ("nora@mail.example", COLOURS["reversible"]),
        ("https://a.example/", COLOURS["flag"]),
    } == {(text[each.start : each.end], each.style) for each in shown.spans}


def test_the_channel_chooses_what_is_done() -> None:
    done = CliRunner().invoke(
        detect, ["--channel", "completion", "-"], input="mail nora@mail.example"
    )

    assert "flag" in done.output
    assert "<EMAIL_DEMO_1>" not in done.output
