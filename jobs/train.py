"""``spark-submit [...] jobs/train.py ...``: the options of ``spark-cot train``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
