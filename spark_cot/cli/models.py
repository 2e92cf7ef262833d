"""Model bundles: import and show."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from spark_cot.cli.options import MODEL, PATH
from spark_cot.models.bundle import Bundle, load_bundle, save_bundle
from spark_cot.models.importers import import_model


@click.group()
def model() -> None:
    """Import and show model bundles."""


@model.command("import")
@click.argument("source", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, required=True, help="Bundle folder to write.")
@click.option("--name", help="Name of the model [default: from SOURCE]")
def model_import(source: tuple[Path, ...], out: Path, name: str | None) -> int:
    """Turn published weights into a bundle; nothing pickled is executed.

    SOURCE is the ensemble's .npz file, or its PyTorch checkpoints, or their folder.
    """
    bundle = import_model(source if len(source) > 1 else source[0], name)
    save_bundle(bundle, out)
    _show(bundle)
    return 0


@model.command("show")
@click.argument("bundle", type=MODEL)
def model_show(bundle: Path) -> int:
    """Print what BUNDLE, a folder or a model that ships, is: inputs, thresholds, scores, hash."""
    _show(load_bundle(bundle))
    return 0


def _show(bundle: Bundle) -> None:
    """The bundle's model.json, which says all there is to say but the weights."""
    Console(soft_wrap=True).print_json(json.dumps(bundle.document))
