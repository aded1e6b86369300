"""What a field tells of its setting."""

from dataclasses import dataclass, field, fields

import pytest

from tokenferry.config.rules import Flag
from tokenferry.config.spec import Spec, spec, spec_of


@dataclass
class _Table:
    described: bool = field(default=True, metadata=spec(Flag(), "What it does.", in_words="yes"))
    plain: bool = field(default=True, metadata=spec(Flag(), "What it does."))
    bare: bool = True


def test_a_field_carries_its_specification() -> None:
    described, plain, bare = fields(_Table)
    assert spec_of(described) == Spec(Flag(), "What it does.", "yes")
    assert spec_of(plain).default is None
    with pytest.raises(KeyError):
        spec_of(bare)
