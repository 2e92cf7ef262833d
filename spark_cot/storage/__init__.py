"""Where files lie: on a file system or in an object store, behind the methods of ``pathlib.Path``.

Paths such as ``s3://bucket/workspace`` are universal-pathlib's `UPath`, which has the methods of
``pathlib.Path`` and is annotated as one throughout the package; it pickles, so tasks carry it.
What differs between the two kinds of store is in this room and nowhere else: a file system has
rename, and loses what it was not made to flush when the power fails; an object store has neither,
but shows an object only when its upload is complete, and every question to it is a request, so
that small files are asked for together. Errors are OSErrors that name their path.

Credentials and endpoint are what botocore finds, for every client alike (`storage.aws`).
"""

from spark_cot.storage.assemble import Piece, assemble
from spark_cot.storage.faults import about
from spark_cot.storage.glimpse import Entry, entries, read_start
from spark_cot.storage.listing import (
    FileFacts,
    exists,
    find,
    folders,
    is_file,
    listing,
    objects,
    sizes,
    walk,
)
from spark_cot.storage.places import (
    check_access,
    delta_place,
    gdal_keys,
    gdal_options,
    gdal_path,
    is_remote,
    path_of,
    uri_of,
    worker_environment,
)
from spark_cot.storage.publish import (
    DELETED_AT_ONCE,
    create,
    flush,
    move,
    publish,
    publish_all,
    remove_empty_folders,
    remove_files,
    remove_folder,
    replacing,
    work_folder,
    write_text,
)
from spark_cot.storage.reading import (
    local_copies,
    open_parquet,
    read_all,
    read_bytes,
    seekable,
)

__all__ = [
    "DELETED_AT_ONCE",
    "Entry",
    "FileFacts",
    "Piece",
    "about",
    "assemble",
    "check_access",
    "create",
    "delta_place",
    "entries",
    "exists",
    "find",
    "flush",
    "folders",
    "gdal_keys",
    "gdal_options",
    "gdal_path",
    "is_file",
    "is_remote",
    "listing",
    "local_copies",
    "move",
    "objects",
    "open_parquet",
    "path_of",
    "publish",
    "publish_all",
    "read_all",
    "read_bytes",
    "read_start",
    "remove_empty_folders",
    "remove_files",
    "remove_folder",
    "replacing",
    "seekable",
    "sizes",
    "uri_of",
    "walk",
    "work_folder",
    "worker_environment",
    "write_text",
]
