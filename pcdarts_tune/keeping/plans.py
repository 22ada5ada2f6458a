"""What a deletion or a clean-up is going to remove, said before anything is done.

plan.add("runs in MLflow", 17, 3_400_000)
print("\\n".join(plan.lines()))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pcdarts_tune.say import format_bytes


@dataclass(frozen=True)
class Item:
    """Something that is removed: what, how many, and how many bytes; 0 bytes where they are not on this machine."""

    what: str
    count: int
    bytes: int


@dataclass
class Plan:
    """What is removed, and what stays although it belongs to it, each with the reason; `notes`: what comes of it."""

    title: str
    items: list[Item] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, count: int, size: int) -> None:
        """One more; nothing where there is none."""
        if count:
            self.items.append(Item(what, count, size))

    @property
    def bytes(self) -> int:
        """Of all items."""
        return sum(item.bytes for item in self.items)

    def lines(self) -> list[str]:
        """For a person: the title, then a line for each."""
        sizes = (f", {format_bytes(item.bytes)}" if item.bytes else "" for item in self.items)
        items = [f"  {item.count:,} {item.what}{size}" for item, size in zip(self.items, sizes, strict=True)]
        total = [f"  in all {format_bytes(self.bytes)}"] if len(items) > 1 else []
        return [
            self.title,
            *items,
            *total,
            *(f"  stays: {reason}" for reason in self.stays),
            *(f"  note: {note}" for note in self.notes),
        ]

    def to_dict(self) -> dict[str, Any]:
        return {
            "bytes": self.bytes,
            "removes": [vars(item) for item in self.items],
            "stays": self.stays,
            "notes": self.notes,
        }
