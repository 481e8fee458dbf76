"""`batchgender fetch-detector`: the face detector into the cache folder, ahead of its first use."""

import click

from batchgender.cli.options import quiet_option
from batchgender.io import Notify


@click.command("fetch-detector", short_help="Fetch the face detector, for machines without a network.")
@quiet_option
def fetch_detector(notify: Notify) -> None:
    """Fetch the face detector into the cache folder, and print where it lies.

    `classify` does it by itself at the first use. For a machine without a network, fetch it on another one, copy the
    file, and name it by `classify --detector` or BATCHGENDER_DETECTOR.

    \b
    Example:
      batchgender fetch-detector
    """
    from batchgender.faces.detector_file import cached_detector, fetch_detector, is_sound

    file = cached_detector()
    click.echo(file if is_sound(file) else fetch_detector(notify))
