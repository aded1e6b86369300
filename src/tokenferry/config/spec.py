"""What is known of one setting, as it stands in the metadata of its field.

The reader of the configuration and docs/reference/settings.md are both made from it.
"""

from dataclasses import Field
from typing import Any, NamedTuple

from tokenferry.config.rules import Rule


class Spec(NamedTuple):
    """What a field's metadata say of a setting.

    Attributes:
        rule: What its value may be.
        doc: What it does, in a sentence or two.
        default: The default in words, where it is not one value.
    """

    rule: Rule
    doc: str
    default: str | None = None


def spec(rule: Rule, doc: str, *, in_words: str | None = None) -> dict[str, Spec]:
    """Return the metadata of a setting's field; see `Spec`."""
    return {"spec": Spec(rule, doc, in_words)}


def spec_of(setting: Field[Any]) -> Spec:
    """Return what a field's metadata say."""
    found: Spec = setting.metadata["spec"]
    return found
