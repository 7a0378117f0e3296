"""What a policy means: the cells that nobody set, and the guards of each class."""

from collections.abc import Mapping
from typing import Final

from pipeline.text import Channel
from schemas.policies import Cell, DataClass, Guard, Mode, PolicyDocument

STRICT: Final = frozenset(
    {
        DataClass.GOV_ID,
        DataClass.CARD,
        DataClass.BANK,
        DataClass.MEDICAL_ID,
        DataClass.BIOMETRIC,
        DataClass.SECRET,
    }
)
"""Replaced, and nothing is stored."""
MARKED: Final = frozenset({DataClass.MINOR, DataClass.URL})
"""Recorded by default; their text stays."""
STRICT_IN_COMPLETIONS: Final = STRICT - {DataClass.MEDICAL_ID}
GUARD_OF: Final[Mapping[DataClass, Guard]] = {
    DataClass.SECRET: Guard.SECRETS,
    DataClass.PERSON: Guard.NAMES,
    DataClass.HEALTH: Guard.HEALTH,
}
"""Whose finding it is; the guard ``pii``, where none is told."""
REDACTING: Final = (Guard.PII, Guard.SECRETS, Guard.NAMES, Guard.HEALTH)


def default_policy() -> PolicyDocument:
    """The policy of a tenant that set none: every guard, every default."""
    return PolicyDocument()


def guard_of(data_class: DataClass) -> Guard:
    """The guard that finds a class."""
    return GUARD_OF.get(data_class, Guard.PII)


def default_mode(data_class: DataClass, channel: Channel) -> Mode:
    """The mode of a cell that nobody set; never "off"."""
    if channel is Channel.COMPLETION:
        strict = data_class in STRICT_IN_COMPLETIONS
        return Mode.STRICT if strict else Mode.FLAG
    if data_class in STRICT:
        return Mode.STRICT
    return Mode.FLAG if data_class in MARKED else Mode.REVERSIBLE


def cells(policy: PolicyDocument, channel: Channel) -> Mapping[DataClass, Cell]:
    """What happens to each class in a channel."""
    told = {c.data_class: c for c in policy.cells if c.channel == channel}
    return {**_DEFAULT_CELLS[channel], **told}


_DEFAULT_CELLS: Final = {
    channel: {
        data_class: Cell(
            data_class=data_class,
            channel=channel.value,
            mode=default_mode(data_class, channel),
        )
        for data_class in DataClass
    }
    for channel in Channel
}
