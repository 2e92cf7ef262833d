"""``spark-submit [...] jobs/apply.py ...``: the options of ``spark-cot apply``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["apply", *sys.argv[1:]])
