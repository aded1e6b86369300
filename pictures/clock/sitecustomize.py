"""Puts the clock of a Python process back: PICTURES_DAYS_AGO says by how much.

Python imports this by its name where it is in PYTHONPATH. So a gateway that has never run before
has served for weeks, and wrote down itself all that its pages tell of them.
"""

import os
import time

_BACK_NS = int(float(os.environ["PICTURES_DAYS_AGO"]) * 86_400 * 1_000_000_000)
_now_ns = time.time_ns


def _earlier_ns() -> int:
    return _now_ns() - _BACK_NS


def _earlier() -> float:
    return _earlier_ns() / 1_000_000_000


time.time_ns = _earlier_ns
time.time = _earlier
