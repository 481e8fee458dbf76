"""Where results and reports go: files of this machine, or addresses, which get whole files at the end."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.lock import locked
from batchgender.photos.places.remote.address import is_address, parse_target
from batchgender.results.update import NOTHING, Update


@dataclass(frozen=True)
class GoingOn:
    """How a command goes on from what is there; `keeps` says that what it made stays where it can't be uploaded."""

    resume: bool = False
    overwrite: bool = False
    update: Update = NOTHING
    keeps: bool = False

    @property
    def may_replace(self) -> bool:
        """Whether what is there may be replaced."""
        return self.resume or self.overwrite or self.update.any


class Output:
    """What a command writes: the results `out`, and `reports`, files of this machine.

    `uploads_alone` says that all of it is there, and has only to be uploaded.
    """

    uploads_alone = False

    def __init__(self, out: str, reports: Sequence[str]) -> None:
        self.out, self.reports = out, tuple(reports)

    def upload(self, written: Sequence[str] = ()) -> list[str]:
        """Have the results, and the reports `written`, where they go; the names under which they are there."""
        return [*([self.out] if self.out else []), *written]


def local_alone(out: str | None, reports: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The names without those that are addresses; raises UserError where one of these can't be written."""
    for name in (out or "", *reports):
        if is_address(name):
            parse_target(name)
    return None if out and is_address(out) else out, tuple(name for name in reports if not is_address(name))


@contextmanager
def opened_output(out: str, reports: Sequence[str], going_on: GoingOn, notify: Notify) -> Iterator[Output]:
    """Where results and reports of these names go; `out` is "" where there are none but reports.

    What goes to an address is gathered in the user's state folder, which is locked for this process, and stays there
    until it is uploaded. Raises UserError where an address can't be written, and where something is there that
    `going_on` does not say to replace.
    """
    addresses = list(filter(is_address, (out, *reports)))
    if not addresses:
        yield Output(out, reports)
        return
    from batchgender.results.remote_output import RemoteOutput

    with ExitStack() as stack:
        remote = RemoteOutput(out, reports, going_on, notify)
        remote.working.make()
        try:
            stack.enter_context(locked([remote.working.folder], notify))
        except UserError as error:
            raise UserError(f"{remote.name}: {error}") from error
        stack.callback(remote.tidy)
        remote.prepare()
        yield remote
