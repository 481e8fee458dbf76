"""What a user can cause: one exception whose message is the one line that is printed."""


class UserError(Exception):
    """Something the user can mend; the message says what is wrong and what to do."""


class OutOfMemory(UserError):
    """A batch that the memory has no room for; a smaller one may fit."""


class CannotResume(UserError):
    """An unfinished run that was begun otherwise, or over other photos: it can only start again."""


class StoppedRun(UserError):
    """Why a run ends before its time, with its rows kept: it goes on with --resume."""


class PlaceLost(StoppedRun):
    """A place that gives no more photos, though it has more."""


class UnreadablePhoto(Exception):
    """A photo that gives no pixels; becomes a row with this message as its error, never an end."""


class NoRoom(UnreadablePhoto):
    """A photo that the memory has no room for, beside what else is held."""


def os_reason(error: OSError) -> str:
    """Say why the system refused, in its own words: "No space left on device"."""
    return error.strerror or str(error)
