"""``spark-submit [...] jobs/ingest.py ...``: the options of ``spark-cot ingest``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["ingest", *sys.argv[1:]])
