"""Files of structures or labels as a stream of entries: any size, compressed or not, in the layouts of the wild."""

from .cleaning import RULES, broken_rule
from .entry import Entry, EntryError, Record, material_name, read_entry
from .recognise import Source
from .stream import ByteStream

__all__ = [
    "RULES",
    "ByteStream",
    "Entry",
    "EntryError",
    "Record",
    "Source",
    "broken_rule",
    "material_name",
    "read_entry",
]
