"""Where files lie: on a file system or in an object store, behind the methods of ``pathlib.Path``.

Paths such as ``s3://bucket/workspace`` are universal-pathlib's `UPath`, which has the methods of
``pathlib.Path`` and is annotated as one throughout the package; it pickles, so tasks carry it.
What differs between the two kinds of store is in this room and nowhere else: a file system has
rename; an object store has none, but shows an object only when its upload is complete, and every
question to it is a request, so that small files are asked for together.

Credentials and endpoint come from the environment (``AWS_*``), as for every S3 client.
"""

from spark_cot.storage.listing import find, matches, objects, sizes, walk
from spark_cot.storage.places import (
    check_access,
    delta_place,
    gdal_options,
    gdal_path,
    is_remote,
    path_of,
    worker_environment,
)
from spark_cot.storage.publish import (
    create,
    publish,
    remove_folder,
    replacing,
    work_folder,
    write_text,
)
from spark_cot.storage.reading import local_copies, open_parquet, read_all, read_bytes, seekable

__all__ = [
    "check_access",
    "create",
    "delta_place",
    "find",
    "gdal_options",
    "gdal_path",
    "is_remote",
    "local_copies",
    "matches",
    "objects",
    "open_parquet",
    "path_of",
    "publish",
    "read_all",
    "read_bytes",
    "remove_folder",
    "replacing",
    "seekable",
    "sizes",
    "walk",
    "work_folder",
    "worker_environment",
    "write_text",
]
