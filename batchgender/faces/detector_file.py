"""The detector's file: one that the user names, the one in the cache folder, or fetched into it and checked."""

import hashlib
import os
from pathlib import Path

from batchgender.errors import UserError, os_reason
from batchgender.io import Notify, written_whole
from batchgender.progress import Progress

# OpenCV Zoo, models/face_detection_yunet, MIT licence, copyright 2020 Shiqi Yu.
NAME = "face_detection_yunet_2026may.onnx"
URL = (
    "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models/face_detection_yunet/"
    + NAME
)
SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
SIZE = 229_738
# Names a detector's file, as --detector does.
VARIABLE = "BATCHGENDER_DETECTOR"
_SECONDS = 10.0
_CHUNK = 2**14
_OTHERWISE = f"get {NAME} of OpenCV Zoo in another way and name it by --detector or {VARIABLE}, or give --faces off"


def cached_detector() -> Path:
    """Where the detector is kept, there or not: in the user's cache folder."""
    import platformdirs

    return Path(platformdirs.user_cache_path("batchgender", appauthor=False), NAME)


def find_detector(named: str | None, notify: Notify) -> str:
    """The file of the detector: `named`, else that of the variable, else the cached one, fetched where it is not there.

    Raises UserError where a named one is missing, and where it can't be fetched.
    """
    for option, file in (("--detector", named), (VARIABLE, os.environ.get(VARIABLE))):
        if file:
            if not os.path.isfile(file):
                raise UserError(f"{option}: {file}: no such file; `batchgender fetch-detector` gets a detector")
            return file
    cached = cached_detector()
    return str(cached if is_sound(cached) else fetch_detector(notify))


def detector_at_hand() -> bool:
    """Whether a detector is named by the variable, or in the cache folder: none needs to be fetched."""
    return bool(os.environ.get(VARIABLE)) or is_sound(cached_detector())


def is_sound(file: Path) -> bool:
    """Whether this is the file that is fetched, whole."""
    try:
        return file.stat().st_size == SIZE and _digest(file.read_bytes()) == SHA256
    except OSError:
        return False


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fetch_detector(notify: Notify) -> Path:
    """Fetch the detector into the cache folder, whole and checked; return where it lies. Raises UserError."""
    # Here: most runs fetch nothing, and these take as long as to open the model.
    import http.client
    import urllib.error

    target = cached_detector()
    try:
        data = _downloaded(notify)
        if len(data) != SIZE or _digest(data) != SHA256:
            raise UserError(
                f"{URL}: what came is not the face detector, but {len(data):,} other bytes; a proxy may have answered"
                f" in its place; {_OTHERWISE}"
            )
        # Two runs may fetch it at once: each writes a file of its own.
        with written_whole(target, "wb", ending=f".{os.getpid()}.part") as stream:
            stream.write(data)
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"HTTP {error.code} {error.reason}"
        raise UserError(f"{URL}: can't fetch the face detector ({reason}); {_OTHERWISE}") from error
    except urllib.error.URLError as error:
        reason = os_reason(error.reason) if isinstance(error.reason, OSError) else str(error.reason)
        raise UserError(
            f"can't fetch the face detector, no answer from {URL.split('/')[2]} ({reason}); {_OTHERWISE}"
        ) from error
    except (TimeoutError, http.client.HTTPException) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else "the answer breaks off"
        raise UserError(f"{URL}: can't fetch the face detector, {reason}; {_OTHERWISE}") from error
    except OSError as error:
        where = f"{target}: can't keep" if error.filename else f"{URL}: can't fetch"
        raise UserError(f"{where} the face detector ({os_reason(error)}); {_OTHERWISE}") from error
    notify(f"face detector: fetched and checked, {target}")
    return target


def _downloaded(notify: Notify) -> bytes:
    import urllib.request

    # Proxies are those of the environment.
    with (
        urllib.request.urlopen(URL, timeout=_SECONDS) as answer,
        Progress("face detector", "bytes", notify, total=SIZE) as progress,
    ):
        data = bytearray()
        # No more is read than what would show that it is another file.
        while len(data) <= SIZE and (chunk := answer.read(_CHUNK)):
            data += chunk
            progress.update(len(chunk))
        return bytes(data)
