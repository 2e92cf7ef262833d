"""``spark-submit [...] jobs/repair.py ...``: the options of ``spark-cot repair``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["repair", *sys.argv[1:]])
