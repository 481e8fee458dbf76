"""What the packaged model's card says that no figure decides: data, licence, limits. Used by `model_card`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PhotosFrom:
    """A source of photos, or a part of one: the prefix of its files' names, and its name within a sentence."""

    prefix: str
    name: str


SOURCES = {
    "crop_part1": PhotosFrom("utk", "UTKFace's part `crop_part1`"),
    "utkface": PhotosFrom("utk", "all of UTKFace"),
    "web": PhotosFrom("web", "face crops found on the web"),
    "celeba": PhotosFrom("celeba", "CelebA"),
}
_ABOUT = {
    "utk": """\
- UTKFace (Zhang, Song, Qi, CVPR 2017): aligned face crops of 200 pixels. **For non-commercial research only.** Its
  ages and ethnicities are partly estimated by a model and checked by people; gender is as its authors labelled it.""",
    "web": "- Face crops found on the web, from the public gender-detection tutorials: 100 to 2,800 pixels.",
    "celeba": """\
- CelebA (Liu, Luo, Wang, Tang, ICCV 2015): whole heads of 89x109 pixels, the face about half as wide as the picture;
  press photos of celebrities. **For non-commercial research only.**""",
}

_DATA = """\
## Data and licence

Trained and calibrated on {trained}.
Tested on {tested}.
The splits are by a hash of the file name, of CelebA by a hash of the person. Who is on the other photos is not known,
so one person may be in more than one split.

{sources}

**The weights carry these terms: non-commercial research only.** The code is under the MIT licence. No photo is in the
package. For any other use, train on photos that you may use.
"""

_LIMITS = """\
## Limits

- Children: below four years even people are often wrong, and so is the model. See the age bands, and leave out what it
  is not sure of (`classify --threshold 0.9`).
- Groups that are rare in the training data have wide intervals above: what is not measured is not known.
- The file finds no faces: it is for pictures of one head, from tight crops to heads half as wide as the picture.
  `classify` cuts the faces out of other photos.
- Angles, hats, masks, make-up, heavy blur, drawings and whole bodies are worse than the figures say.
{unseen}- On other sources expect less than on those it was trained on, and measure: `classify` on folders with labels
  prints the same figures for yours.
"""


def data_text(trained: Sequence[str], tested: Sequence[str], report: Mapping[str, Any]) -> str:
    """The sources of the training and of the test photos (keys of SOURCES), the latter with their numbers."""
    groups = ((report.get("groups") or {}).get("columns", {}).get("source") or {}).get("groups", {})
    parts = []
    for source in tested:
        count = groups.get(SOURCES[source].prefix, {}).get("count")
        parts.append(SOURCES[source].name + (f" ({count:,} photos)" if count else ""))
    prefixes = {SOURCES[source].prefix for source in (*trained, *tested)}
    return _DATA.format(
        trained=_listed([SOURCES[source].name for source in trained]),
        tested=_listed(parts),
        sources="\n".join(about for prefix, about in _ABOUT.items() if prefix in prefixes),
    )


def limits_text(trained: Sequence[str], tested: Sequence[str]) -> str:
    """The limits, with the sources of test photos that the model was not trained on."""
    known = {SOURCES[source].prefix for source in trained}
    unseen = [SOURCES[source].name for source in tested if SOURCES[source].prefix not in known]
    line = f"- It was not trained on {_listed(unseen)}: see the groups by source.\n" if unseen else ""
    return _LIMITS.format(unseen=line)


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
