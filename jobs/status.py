"""``spark-submit [...] jobs/status.py ...``: the options of ``spark-cot status``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["status", *sys.argv[1:]])
