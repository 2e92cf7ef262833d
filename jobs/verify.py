"""``spark-submit [...] jobs/verify.py ...``: the options of ``spark-cot verify``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["verify", *sys.argv[1:]])
