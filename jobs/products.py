"""``spark-submit [...] jobs/products.py ...``: the options of ``spark-cot products``."""

import sys

from spark_cot.cli import main

if __name__ == "__main__":
    main(["products", *sys.argv[1:]])
