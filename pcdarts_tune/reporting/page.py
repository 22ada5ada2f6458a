"""A report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere, no network.

Its content security policy forbids all of that, so that a browser would say so if it were not true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pcdarts_tune.reporting import sections
from pcdarts_tune.reporting.markup import Html, escape, join, tag
from pcdarts_tune.reporting.style import CSS
from pcdarts_tune.reporting.summary import summary

if TYPE_CHECKING:
    from pcdarts_tune.reporting.facts import Facts

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

SECTIONS: dict[str, tuple[str, Callable[[Facts], Html]]] = {
    "leaderboard": ("Leaderboard", sections.leaderboard),
    "history": ("How the search went", sections.history),
    "settings": ("What the settings do", sections.settings),
    "size": ("Accuracy against size", sections.trade_offs),
    "cells": ("The best cells", sections.cells),
    "alphas": ("Alphas and betas of the best trial", sections.alphas),
    "retrained": ("Retrained", sections.retrained),
    "cost": ("Cost", sections.cost),
    "lost": ("What failed and why", sections.lost),
    "reproduce": ("How to reproduce it", sections.reproduce),
}
"""Anchor -> title and what writes it; one that has nothing to say is left out."""


def page(facts: Facts) -> str:
    """The whole page."""
    name = facts.sweep.name
    written = {key: (title, text) for key, (title, write) in SECTIONS.items() if (text := write(facts))}
    links = join([tag("a", title, href=f"#{key}") for key, (title, _) in written.items()], " ")
    running = " while the sweep was running" if facts.running else ""
    said = [
        (
            tag("dt", each.about),
            tag("dd", each.text, Html(" "), tag("code", each.command) if each.command else Html()),
        )
        for each in summary(facts)
    ]
    body = [
        tag("h1", f"Sweep {name}"),
        tag(
            "p",
            f"{facts.sweep.space.description or facts.sweep.space.name}. Written {facts.written}{running}.",
            class_="quiet",
        ),
        tag("nav", links),
        tag("dl", join([part for pair in said for part in pair]), class_="summary"),
        *(tag("section", tag("h2", title), text, id=key) for key, (title, text) in written.items()),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="generator" content="pcdarts-tune report">',
            f"<title>{escape(f'Sweep {name}')}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{CSS}</style>",
            "</head>",
            "<body>",
            join(body),
            "</body>",
            "</html>",
            "",
        ]
    )
