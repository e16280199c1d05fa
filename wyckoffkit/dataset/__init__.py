"""The HDF5 dataset: protostructures in columns, with ids, labels, splits, properties and provenance."""

from .combine import merge_datasets, rewrite
from .compare import CAUSES, Difference, differences
from .describe import describe, faults
from .export import export_csv, export_json_lines, export_parquet, export_table
from .form import FORMAT_VERSION, NO_REJECTED, SPLITS, Dataset, Rejected, positions_digest, unit_of
from .split import parse_counts, parse_split, random_split, read_split, split_by
from .statistics import Statistics, statistics
from .store import read_dataset, write_dataset
from .stream import read_columns, write_spool

__all__ = [
    "CAUSES",
    "FORMAT_VERSION",
    "NO_REJECTED",
    "SPLITS",
    "Dataset",
    "Difference",
    "Rejected",
    "Statistics",
    "describe",
    "differences",
    "export_csv",
    "export_json_lines",
    "export_parquet",
    "export_table",
    "faults",
    "merge_datasets",
    "parse_counts",
    "parse_split",
    "positions_digest",
    "random_split",
    "read_columns",
    "read_dataset",
    "read_split",
    "rewrite",
    "split_by",
    "statistics",
    "unit_of",
    "write_dataset",
    "write_spool",
]
