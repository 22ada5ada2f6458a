"""What a person writes on a run or on a version of a model: a note, and tags of their own.

    write_note(Finder(where).find("first:3"), "the learning rate is at the end of its range")
    write_tags(Finder(where).find("first@champion"), {"paper": "figure 2"})

A note stands in MLflow above what the program says of the run, and stays there when that is written anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.sweeps.find import Found
from pcdarts_tune.tracking.notes import OURS, own_tags
from pcdarts_tune.tracking.store import MlflowStore

LONGEST = (
    4000  # characters; databases keep 5000 of a tag, and what the program says of the run comes after it
)


def write_note(found: Found, text: str) -> str:
    """Put a note on what was named, in place of one that it has; an empty text takes it away. How it is named now.

    Raises:
        UserError: it has no run, or the text is too long.
    """
    if len(text) > LONGEST:
        raise UserError(
            f"the note has {len(text):,} characters; it can have {LONGEST:,}", hint="keep the rest in a file"
        )
    store = MlflowStore(found.runs.uri)
    if found.version is not None:
        name, number = found.version.name, str(found.version.version)
        store.client.update_model_version(name, number, description=text)
        return f"{name}/{number}"
    run_id = _require_run(found)
    store.write_note(run_id, text)
    return f"run {run_id}"


def write_tags(found: Found, tags: Mapping[str, str], remove: Sequence[str] = ()) -> dict[str, str]:
    """Set tags, and remove others; all that a person has set on it then.

    Raises:
        UserError: it has no run, a key is the program's own, or one to remove is not there.
    """
    for key in (*tags, *remove):
        if key.startswith(OURS) or not key.strip():
            raise UserError(
                f"{key!r}: tags that begin with {' or '.join(OURS)} are the program's own", hint="another key"
            )
    client = MlflowStore(found.runs.uri).client
    if found.version is not None:
        name, number = found.version.name, str(found.version.version)
        have = own_tags(found.version.tags)
        _require_there(have, remove)
        for key, value in tags.items():
            client.set_model_version_tag(name, number, key, value)
        for key in remove:
            client.delete_model_version_tag(name, number, key)
    else:
        run_id = _require_run(found)
        assert found.run is not None, "just seen"
        have = own_tags(found.run.data.tags)
        _require_there(have, remove)
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
        for key in remove:
            client.delete_tag(run_id, key)
    now = {**have, **tags}
    return {key: now[key] for key in sorted(now) if key not in remove}


def _require_there(have: Mapping[str, str], remove: Sequence[str]) -> None:
    if missing := [key for key in remove if key not in have]:
        there = f"it has {', '.join(have)}" if have else "it has none"
        raise UserError(
            f"no tag {missing[0]!r}{nearest(missing[0], have)}; {there}",
            hint="pcdarts-tune show RUN lists them",
        )


def _require_run(found: Found) -> str:
    if found.cells_alone or found.run is None:
        raise UserError(
            f"{found.text!r} has no run in MLflow that could be written on",
            hint="a trial (SWEEP:TRIAL), sweep:SWEEP, a run id, or MODEL/VERSION; "
            "pcdarts-tune resume SWEEP delivers what MLflow missed",
        )
    return str(found.run.info.run_id)
