"""Which options of `classify` go together, looked at before any work is done."""

from types import SimpleNamespace

import click

from batchgender.cli.options import check_explained
from batchgender.photos.places.remote.address import is_address

# Options that are for runs on this machine alone.
_NOT_ON_RAY = ("shard", "dry_run", "measured_on", "explained", "update", "retry_errors", "max_errors", "log_json")
# Options that a watch has no use for, and why, where that is not plain.
_NOT_WATCHED = {
    "resume": "a watch goes on by itself",
    "update": "a watch updates by itself",
    "overwrite": "run classify with --overwrite first, then watch",
    "dry_run": "",
    "from_list": "folders are watched",
    "fps": "videos are not watched",
    "labels": "folders label their photos",
    "groups": "`batchgender report` makes reports, at any time",
    "reports": "`batchgender report` makes reports, at any time",
    "no_thumbnails": "",
    "explained": "",
    "measured_on": "`batchgender prevalence` estimates shares, at any time",
    "shard": "",
    "engine": "",
    "max_errors": "a watch goes on, whatever photos come",
    "strict": "a watch has no end",
}


def check_options(ctx: click.Context) -> None:
    """Raise UsageError where options of the command line exclude each other, or one is missing."""
    given = SimpleNamespace(**ctx.params)
    out, streaming = given.out, given.out == "-"
    if given.watch:
        _check_watch(ctx)
    if given.resume and given.overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    if given.overwrite and (given.update or given.retry_errors):
        raise click.UsageError(f"--{'update' if given.update else 'retry-errors'} and --overwrite exclude each other")
    if given.dry_run and given.resume:
        raise click.UsageError("--dry-run and --resume exclude each other")
    if out is None and not given.dry_run:
        raise click.UsageError("Missing option '-o' / '--out'.")
    if streaming and (given.resume or given.overwrite or given.update or given.retry_errors):
        raise click.UsageError("--out - can't be resumed, updated or overwritten")
    if given.measured_on and (streaming or out is None):
        raise click.UsageError("--measured-on needs --out FILE, for all rows are looked at together")
    if given.time_limit and given.isolate is False:
        raise click.UsageError("--time-limit and --no-isolate exclude each other: threads can't be ended")
    if given.fps and given.faces == "off":
        raise click.UsageError("--fps and --faces off exclude each other: videos show more than faces")
    if (given.csv_bom or given.csv_safe) and not (out is None or streaming or out.endswith((".csv", ".csv.gz"))):
        raise click.UsageError(f"--csv-bom and --csv-safe are for a CSV; --out {out} is none")
    if given.csv_safe and given.shard:
        raise click.UsageError("--csv-safe and --shard exclude each other; give --csv-safe to merge")
    if given.ray_address and given.engine != "ray":
        raise click.UsageError("--ray-address is for --engine ray")
    if given.log_json and is_address(given.log_json):
        raise click.UsageError("--log-json is appended to, and can be no address; name a file of this machine")
    if given.engine == "ray":
        _check_engine(ctx)
    check_explained(given.explained, given.reports, given.no_thumbnails)
    if given.no_labels and given.label_names.given:
        raise click.UsageError("--no-labels and --label-names exclude each other")
    if given.no_labels and given.labels:
        raise click.UsageError("--no-labels and --labels exclude each other")


def is_given(ctx: click.Context, name: str) -> bool:
    """Whether a parameter was given on the command line."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _check_watch(ctx: click.Context) -> None:
    """Raise UsageError where an option is given that is for runs that end, and where --out is no database."""
    if name := next((name for name in _NOT_WATCHED if is_given(ctx, name)), None):
        shown = {"explained": "explain", "reports": "report"}.get(name, name.replace("_", "-"))
        reason = f": {why}" if (why := _NOT_WATCHED[name]) else ""
        raise click.UsageError(f"--{shown} and --watch exclude each other{reason}")
    out = ctx.params["out"] or ""
    if is_address(out):
        raise click.UsageError("--watch needs --out FILE.db of this machine, no address")
    if not out.endswith(".db"):
        raise click.UsageError("--watch needs --out FILE.db: in other files a row can't be changed in its place")


def _check_engine(ctx: click.Context) -> None:
    """Raise UsageError where an option is given that is for one process."""
    if name := next((name for name in _NOT_ON_RAY if is_given(ctx, name)), None):
        shown = "explain" if name == "explained" else name.replace("_", "-")
        raise click.UsageError(f"--{shown} and --engine ray exclude each other")
    if ctx.params["out"] == "-" or ctx.params["from_list"] == "-":
        raise click.UsageError("--engine ray needs a file in the place of -")
    if ctx.params["provider"] not in ("auto", "cpu"):
        raise click.UsageError("--engine ray computes with --provider cpu alone")
