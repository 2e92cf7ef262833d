"""Model bundles: import, show, and their cards."""

from __future__ import annotations

import json

from rich.console import Console

from spark_cot.archive.options import CardOptions, ImportOptions, ShowOptions
from spark_cot.archive.simulate import read_synthetic
from spark_cot.archive.writes import Write, model, size_of
from spark_cot.cli.pages import show, writes_page
from spark_cot.cli.running import print_path
from spark_cot.models.bundle import Bundle, load_bundle, save_bundle
from spark_cot.models.importers import import_model
from spark_cot.report.card import write_card


def import_bundle(options: ImportOptions) -> int:
    """Turn published weights into a bundle."""
    first, *others = options.source
    bundle = import_model(options.source if others else first, options.name)
    if options.dry_run:
        show(writes_page([model(options.out, bundle.architecture)]))
        return 0
    save_bundle(bundle, options.out)
    _show(bundle)
    return 0


def show_bundle(options: ShowOptions) -> int:
    """Print what a bundle is."""
    _show(load_bundle(options.bundle))
    return 0


def model_card(options: CardOptions) -> int:
    """Write what a model is and how far it can be trusted as one page."""
    rows = read_synthetic(options.table, ["test"]) if options.table else None
    bundle = load_bundle(options.bundle)
    if options.dry_run:
        show(writes_page([Write("card", options.out, "1 page", replaced=size_of(options.out))]))
        return 0
    print_path("card", write_card(bundle, rows, options.out))
    return 0


def _show(bundle: Bundle) -> None:
    """The bundle's model.json, which says all there is to say but the weights."""
    Console(soft_wrap=True).print_json(json.dumps(bundle.document))
