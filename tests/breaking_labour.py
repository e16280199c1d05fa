"""Work that dies or hangs on named entries, for the tests of the pool: worker processes import it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from wyckoffkit.build.options import BuildOptions
from wyckoffkit.build.work import Shard, work
from wyckoffkit.sources import Entry


def labour(
    entries: Sequence[Entry], options: BuildOptions, quarantine: Mapping[int, str], begin: Callable[[int], None]
) -> Shard:
    def begin_or_break(i: int) -> None:
        begin(i)
        if i in quarantine:
            return
        match entries[i].material_id:
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(3)
            case "hang":
                time.sleep(1000)

    return work(entries, options, quarantine, begin_or_break)
