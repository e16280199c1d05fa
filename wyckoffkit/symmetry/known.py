"""What a symmetry search has answered, so that it is not asked the same again, and so that processes can share it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

# (space group, letter of each site, equivalent first site of each site)
Found = tuple[int, Sequence[str], Sequence[int]]
Key = tuple[Any, ...]
"""All that the search was given."""
Answer = tuple[Key, Found]


class Known:
    """Answers by question, up to a number of them: the one that was asked for longest ago goes first."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._answers: dict[Key, Found] = {}
        self._new: deque[Answer] = deque(maxlen=room)

    def __len__(self) -> int:
        return len(self._answers)

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()
        self._new.clear()

    def recall(self, key: Key) -> Found | None:
        """The answer, if it is known."""
        found = self._answers.pop(key, None)
        if found is not None:
            self._answers[key] = found  # behind all others, as the last one that was asked for
        return found

    def remember(self, key: Key, found: Found) -> None:
        """Keep an answer of one's own."""
        self._keep(key, found)
        self._new.append((key, found))

    def news(self) -> list[Answer]:
        """Answers of one's own since this was last asked."""
        found = list(self._new)
        self._new.clear()
        return found

    def learn(self, answers: Iterable[Answer]) -> None:
        """Keep the answers that others have found."""
        for key, found in answers:
            self._keep(key, found)

    def _keep(self, key: Key, found: Found) -> None:
        self._answers.pop(key, None)
        if len(self._answers) >= self.room:
            self._answers.pop(next(iter(self._answers)), None)
        self._answers[key] = found
