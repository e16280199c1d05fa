"""Files of structures or labels as a stream of entries: any size, compressed or not, in the layouts of the wild."""

from .cleaning import RULES, broken_rule, count_rules
from .entry import (
    ID_FIELDS,
    PROPERTIES,
    Entry,
    EntryError,
    Record,
    check_structure,
    material_name,
    number_or_nan,
    read_entry,
)
from .recognise import Source
from .stream import ByteStream

__all__ = [
    "ID_FIELDS",
    "PROPERTIES",
    "RULES",
    "ByteStream",
    "Entry",
    "EntryError",
    "Record",
    "Source",
    "broken_rule",
    "check_structure",
    "count_rules",
    "material_name",
    "number_or_nan",
    "read_entry",
]
