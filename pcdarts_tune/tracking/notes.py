"""A person's note on a run, above what the program says of it: MLflow has one description for both.

above("mine", "Trial 3 of sweep first: ...")        # "mine\\n\\n---\\n\\nTrial 3 ..."
"""

from __future__ import annotations

from collections.abc import Mapping

CONTENT = "mlflow.note.content"
"""The tag that MLflow shows as a run's description, in Markdown."""
OURS = ("mlflow.", "pcdarts.")
"""How keys begin that MLflow and this program use themselves."""
_LINE = "\n\n---\n\n"


def above(note: str, described: str) -> str:
    """Both as one description; either may be empty."""
    return _LINE.join(part for part in (note, described) if part)


def below(note: str, content: str) -> str:
    """What the program said, of a description with that note above it."""
    if not note or not content.startswith(note):
        return content
    return content.removeprefix(note).removeprefix(_LINE)


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that a person has set, by key."""
    return {key: tags[key] for key in sorted(tags) if not key.startswith(OURS)}
