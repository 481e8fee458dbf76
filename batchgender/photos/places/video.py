"""Videos: frames at regular times, read by OpenCV; a frame is a photo."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from batchgender.photos.limits import PIXEL_LIMIT
from batchgender.photos.photo import InMemory, Photo, Refused, printable
from batchgender.photos.places.place import Findings

_ENDINGS = ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .3gp .mts .m2ts .flv .ogv"
ENDINGS = frozenset(_ENDINGS.split())
# What FFmpeg says on stderr names no file; it reads this when it opens the first one.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# A file says how many frames it has, and not always rightly: one that gives fewer than this share is cut short.
_WHOLE = 0.9


def is_video(file: str) -> bool:
    """Whether this is a video by its name's ending."""
    return os.path.splitext(file)[1].lower() in ENDINGS


@dataclass(frozen=True)
class Video:
    """The frames of a video, `findings.fps` a second; `path` is what their rows show, `root` its folder's name."""

    file: str
    path: str
    root: str
    sequential = True

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield the frames, upright, by their time; what can't be read of the video is a photo with an error."""
        assert findings.fps
        if findings.shard_walk and not findings.shard_walk.takes(printable(self.path)):
            return

        def photo(content: InMemory | Refused, time: float) -> Photo:
            return Photo(printable(self.path), content, self.root, findings.names, time=round(time, 3))

        capture = cv2.VideoCapture(self.file)
        try:
            width, height = (capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            if not capture.isOpened():
                yield photo(Refused("no video that can be read, or a damaged one"), 0)
                return
            if width * height > PIXEL_LIMIT:
                yield photo(Refused(f"a video of {width:.0f} x {height:.0f} pixels, more than can be read"), 0)
                return
            count, wanted, time = 0, 0.0, 0.0
            while capture.grab():
                time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                count += 1
                if time < wanted:
                    continue
                decoded, frame = capture.retrieve()
                if decoded:
                    yield photo(InMemory(np.ascontiguousarray(frame[..., ::-1])), time)
                else:
                    yield photo(Refused("a frame that can't be decoded"), time)
                # Of a video with fewer frames a second each is taken once.
                wanted = (int(time * findings.fps + 1e-6) + 1) / findings.fps
            stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            if not count or count < _WHOLE * stated:
                reason = f"the video ends early: {count:,} of {stated:,.0f} frames could be read"
                yield photo(Refused(reason), time + 1 / findings.fps)
        finally:
            capture.release()
