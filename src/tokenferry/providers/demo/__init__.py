"""The built-in `demo` model: a labelled simulator that answers offline, at a human pace.

It is for first runs and for tests of a whole installation. `simulator` is the engine's port and
the pacing; what is said is decided before by pure modules: `script` (which answer), `texts` (its
words), `pieces` (its tokens) and `schema` (JSON that fits a schema).

Weakness: it understands nothing. It looks for a few words and repeats what it was sent.
"""

from tokenferry.providers.demo.simulator import DemoProvider

__all__ = ["DemoProvider"]
