"""How many files the process may have open: as many as its connections need, where it may say so.

Source: getrlimit(2); what common servers do. Weakness: what the settings of providers allow
together is not added up; a connection to a client is taken to have one to a provider.
"""

import contextlib
import logging
import sys

log = logging.getLogger(__name__)

# The journal, the databases, the event loop, and whoever is just being refused.
FILES_APART = 256


def allow_open_files(connections_max: int) -> int | None:
    """Raise the soft limit to what so many clients need, as far as the hard one lets.

    Returns how many files it is; None where nobody says.

    Most systems begin a process with 1024, far below `connections_max`, and what is beyond is
    dropped without a word: there is no file left to accept it with.
    """
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 -- not there on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = 2 * connections_max + FILES_APART
    allowed = wanted if hard == unlimited else min(wanted, hard)
    if soft != unlimited and soft < allowed:
        # macOS has one more limit, which the hard one does not tell.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    if soft != unlimited and soft < connections_max:
        log.warning(
            "the system lets this process have %d files open, which is less than connections_max "
            "(%d): connections beyond are dropped; raise the limit (LimitNOFILE, ulimit -n)",
            soft,
            connections_max,
        )
    return None if soft == unlimited else soft


def clients_max(files: int | None) -> int | None:
    """Return how many of so many files may be connections of clients; None for any number.

    Whoever opens connections without end must not take those of providers and of the journal.
    """
    return None if files is None else files - min(FILES_APART, files // 4)
