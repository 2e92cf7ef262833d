"""``spark-submit [...] jobs/run.py ...``: the options of ``spark-cot run``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
