"""Why a whole run of Ray Tune ended, where that was the loss of a process and no defect: Ray's memory monitor, a dead node.

    except Exception as error:
        forget(error)
        lost = loss(error)      # None: something else went wrong

A trial's process that dies is Tune's to start again, as often as the sweep allows. One that Ray's memory monitor ended
raises out of `fit()` instead, whatever its trial may fail, and all trials are cut off with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LOW_ON_MEMORY = "running low on memory"


@dataclass(frozen=True)
class Loss:
    """What was lost: in words, and the ids of the processes' actors where Ray says them."""

    reason: str
    actors: frozenset[str] = frozenset()


def loss(error: Exception) -> Loss | None:
    """What an error that `fit()` raised says of lost processes; None when it is about something else."""
    from ray.exceptions import RayError

    text = str(error)
    actors = frozenset(re.findall(r"Actor\(([0-9a-f]{16,})\)", text.partition("Selected to kill")[2]))
    if LOW_ON_MEMORY in text:
        return Loss(_out_of_memory(text), actors)
    if any(isinstance(each, RayError) for each in _chain(error)):
        return Loss(" ".join(text.split())[:300], actors)
    return None


def forget(error: BaseException) -> None:
    """Drop the frames that an error holds: in them are handles of Ray's actors, and one that is freed when Ray has been
    shut down ends the process on the spot."""
    for each in _chain(error):
        each.__traceback__ = None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _out_of_memory(text: str) -> str:
    machine = re.search(r"was ([\d.]+ ?GB) used / ([\d.]+ ?GB) limit", text)
    process = re.search(r"actual memory used=([\d.]+ ?GB)", text)
    of = f" ({machine[1]} of {machine[2]} used)" if machine else ""
    used = f", which held {process[1]}" if process else ""
    return (
        f"out of memory: the machine ran low{of} and Ray ended the process{used}; "
        "a smaller batch, a larger K, or fewer trials at a time (--max-concurrent) need less"
    )
