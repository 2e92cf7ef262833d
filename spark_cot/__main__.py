"""``python -m spark_cot``: the command line."""

from spark_cot.cli import main

main()
