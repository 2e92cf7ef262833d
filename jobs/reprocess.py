"""``spark-submit [...] jobs/reprocess.py ...``: the options of ``spark-cot reprocess``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["reprocess", *sys.argv[1:]])
