"""Model bundles: import and show."""

from __future__ import annotations

import json

from rich.console import Console

from spark_cot.archive.options import ImportOptions, ShowOptions
from spark_cot.models.bundle import Bundle, load_bundle, save_bundle
from spark_cot.models.importers import import_model


def import_bundle(options: ImportOptions) -> int:
    """Turn published weights into a bundle."""
    first, *others = options.source
    bundle = import_model(options.source if others else first, options.name)
    save_bundle(bundle, options.out)
    _show(bundle)
    return 0


def show_bundle(options: ShowOptions) -> int:
    """Print what a bundle is."""
    _show(load_bundle(options.bundle))
    return 0


def _show(bundle: Bundle) -> None:
    """The bundle's model.json, which says all there is to say but the weights."""
    Console(soft_wrap=True).print_json(json.dumps(bundle.document))
