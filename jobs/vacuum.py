"""``spark-submit [...] jobs/vacuum.py ...``: the options of ``spark-cot vacuum``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["vacuum", *sys.argv[1:]])
