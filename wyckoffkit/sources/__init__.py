"""Files of structures or labels as a stream of entries: any size, compressed or not, in the layouts of the wild."""

from .entry import Entry, EntryError, Record, material_name, read_entry
from .recognise import Source
from .stream import ByteStream

__all__ = ["ByteStream", "Entry", "EntryError", "Record", "Source", "material_name", "read_entry"]
