"""``spark-submit [...] jobs/simulate.py ...``: the options of ``spark-cot simulate``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["simulate", *sys.argv[1:]])
