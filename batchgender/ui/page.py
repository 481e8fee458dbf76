"""The page: what stands on it, and what happens when something is dropped, moved or pressed."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import gradio as gr

from batchgender.classify.pipeline import Classifier
from batchgender.errors import UserError
from batchgender.explanation.explain import explanations
from batchgender.explanation.occlusion import OCCLUSION
from batchgender.explanation.open_explained import GRAD_CAM, Method, method_for
from batchgender.model.thresholds import described
from batchgender.photos.photo import Photo
from batchgender.report.text import LIMIT
from batchgender.results.rows import Row
from batchgender.ui.answers import CSV, REPORT, classify_photos
from batchgender.ui.pictures import caption, drawn_photo, explanation_html
from batchgender.ui.sessions import Session, Sessions
from batchgender.ui.uploads import Limits, uploaded_photos

# So many photos, and faces of one photo, are shown; the CSV has all.
_PHOTOS_SHOWN, _FACES_EXPLAINED = 60, 6
_FACES = {
    "Every face": "all",
    "The largest face of each photo": "largest",
    "None: the photos are cropped faces": "off",
}
_METHODS = {GRAD_CAM: "Grad-CAM", OCCLUSION: "Occlusion"}
CSS = """
.explanations { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); gap: 24px; }
.explanation { margin: 0; max-width: 600px; }
.explanation .pictures { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; margin: 8px 0; }
.explanation img { width: 100%; height: auto; margin: 0; border-radius: 4px; }
.explanation .bar { height: 12px; border-radius: 4px; }
.explanation .sides { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 4px 16px; }
.explanation .sides i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
@media (max-width: 640px) { #gallery .grid-container { grid-template-columns: 1fr 1fr !important; } }
"""


def make_page(
    classifier: Classifier, methods: Sequence[str], sessions: Sessions, limits: Limits, detector: str | None
) -> gr.Blocks:
    """Lay out the page. `methods` are those that can explain, the first one the default.

    Without a `detector` photos are classified whole.
    """
    stored, classes = classifier.info.thresholds, classifier.info.classes
    with gr.Blocks(title="batchgender", analytics_enabled=False) as page:
        gr.Markdown(
            f"# batchgender\n{' or '.join(map(_escaped, classes))} for each face in your photos. {LIMIT} Answers can be"
            " wrong, more often for some groups than for others: do not decide about a person by them.\n\nThe photos"
            " stay on the machine that runs this program, and are deleted when you close this page."
        )
        with gr.Row():
            files = gr.File(file_count="multiple", label="Photos, or a zip of photos", height=200, elem_id="files")
            folder = gr.File(file_count="directory", label="A folder", height=200, elem_id="folder")
        with gr.Row():
            choices = [name for name, mode in _FACES.items() if detector or mode == "off"]
            faces = gr.Radio(choices, value=choices[0], label="Faces to look for", elem_id="faces")
            threshold = gr.Slider(
                0.5 if len(classes) == 2 else 0.0,
                1,
                value=0.5 if len(classes) == 2 else 0.0,
                step=0.01,
                label="Threshold",
                info="Below this probability the answer is Unsure."
                + (f" Until it is moved: {described(stored)}, stored in the model." if stored else ""),
                elem_id="threshold",
            )
        start = gr.Button("Classify", variant="primary", elem_id="classify")
        status = gr.Markdown(
            f"At most {limits.photos:,} photos and {limits.megabytes:,} MB at once, of {limits.megapixels}"
            " megapixels each.",
            elem_id="status",
        )
        with gr.Column(visible=False) as results:
            gr.Markdown("Photos with the faces found. Choose one to explain its answers.")
            gallery = gr.Gallery(
                show_label=False,
                columns=3,
                object_fit="contain",
                height=640,
                format="jpeg",
                buttons=[],
                elem_id="gallery",
            )
            with gr.Row():
                method = gr.Radio(
                    [(_METHODS[each], each) for each in methods],
                    value=methods[0],
                    label="Explain by",
                    elem_id="method",
                )
                explain = gr.Button("Explain the first photo", elem_id="explain")
            explained = gr.HTML(elem_id="explained")
            table = gr.Dataframe(
                headers=["photo", "face", "answer", *(f"p {name}" for name in classes), "error"],
                interactive=False,
                wrap=True,
                buttons=[],
                label="Answers",
                elem_id="table",
            )
            with gr.Row():
                csv = gr.DownloadButton("Download the CSV", elem_id="csv")
                report = gr.DownloadButton("Download the report", elem_id="report")

        shown = [status, results, gallery, table, csv, report, explain, explained]
        handlers = _Handlers(classifier, sessions, limits, detector)
        common: dict[str, Any] = {"api_visibility": "private"}
        # By default what happens while an answer is on its way is not answered: the line would be that of before.
        last: dict[str, Any] = {"trigger_mode": "always_last", **common}
        for each in (files, folder):
            gr.on([each.upload, each.clear, each.delete], handlers.keep, [files, folder], status, queue=False, **last)
        # One at a time: each run takes all cores. The others see their place in the queue.
        one = {"concurrency_limit": 1, "concurrency_id": "cores", **common}
        start.click(handlers.classify, [files, folder, faces, threshold], shown, show_progress_on=status, **one)
        threshold.release(handlers.decide, threshold, shown, show_progress="hidden", **{**one, **last})
        gallery.select(handlers.choose, None, explain, queue=False, show_progress="hidden", **last)
        explain.click(handlers.explain, method, explained, **one)
        page.unload(handlers.close)
    page.queue(max_size=50)
    return page


class _Handlers:
    """What the page calls."""

    def __init__(
        self,
        classifier: Classifier,
        sessions: Sessions,
        limits: Limits,
        detector: str | None,
    ) -> None:
        self._classifier, self._sessions, self._limits, self._detector = classifier, sessions, limits, detector
        self._methods: dict[str, Method] = {}
        self._lowest = 0.5 if len(classifier.info.classes) == 2 else 0.0

    def keep(self, files: list[str] | None, folder: list[str] | None, request: gr.Request) -> str:
        """Note what was uploaded: it is deleted when the page is closed."""
        given = [*(files or []), *(folder or [])]
        self._sessions.keep(_name(request), given)
        return f"{len(given):,} file{'s' * (len(given) != 1)} here: press Classify." if given else "No files here."

    def classify(
        self,
        files: list[str] | None,
        folder: list[str] | None,
        faces: str,
        threshold: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio knows it by this.
    ) -> list[Any]:
        """Classify what was uploaded, and show the answers."""
        given = [*(files or []), *(folder or [])]
        session = self._sessions.keep(_name(request), given)
        session.answers = None
        # Until the slider is moved the thresholds of the model decide.
        session.threshold = None if threshold <= self._lowest else threshold
        try:
            if not given:
                raise UserError("nothing was dropped; drop photos, a folder or a zip above")
            photos, left_out = uploaded_photos(given, self._limits)

            def done(count: int) -> bool:
                progress((count, len(photos)), desc="classify", unit="photos")
                return session.open

            session.answers = classify_photos(
                self._classifier, photos, _FACES[faces], session.threshold, self._detector, done
            )
            session.chosen = 0
            return self._shown(session, left_out)
        except UserError as error:
            return _not_shown(f"**Not classified:** {_escaped(str(error))}.")

    def decide(self, threshold: float, request: gr.Request) -> list[Any]:
        """Decide the answers anew by a threshold."""
        session = self._sessions.get(_name(request))
        session.threshold = threshold
        if not session.answers:
            return [gr.skip()] * 8
        session.answers = session.answers.decided(threshold)
        return self._shown(session, "")

    def choose(self, event: gr.SelectData, request: gr.Request) -> Any:
        """Remember which photo was chosen."""
        session = self._sessions.get(_name(request))
        session.chosen = int(event.index)
        name = session.answers.photos[session.chosen].path if session.answers else ""
        return gr.Button(f"Explain {name}")

    def explain(self, method: str, request: gr.Request) -> str:
        """Explain the answers to the photo that was chosen."""
        session = self._sessions.get(_name(request))
        answers = session.answers
        if not answers:
            return "<p>Classify photos first.</p>"
        photo, rows = answers.by_photo()[session.chosen]
        parts: list[str] = []
        try:
            # Made at the first use: Grad-CAM imports PyTorch. One explanation is made at a time.
            if method not in self._methods:
                self._methods[method] = method_for(self._classifier, method)
            how = self._methods[method]
            for found in explanations(answers.classifier, [how], [photo], session.threshold):
                if len(parts) == _FACES_EXPLAINED:
                    parts.append(f"<p>The largest {_FACES_EXPLAINED} of {len(rows)} faces are explained.</p>")
                    break
                parts.append(explanation_html(found))
        except UserError as error:
            return f"<p>Not explained: {html.escape(str(error))}</p>"
        return f'<div class="explanations">{"".join(parts)}</div>'

    def close(self, request: gr.Request) -> None:
        """Delete what was kept for a page that was closed."""
        self._sessions.end(_name(request))

    def _shown(self, session: Session, left_out: str) -> list[Any]:
        answers = session.answers
        assert answers
        by_photo = answers.by_photo()
        pictures = [
            (str(_written(session.folder / f"{number}.jpg", photo, rows)), caption(photo.path, rows))
            for number, (photo, rows) in enumerate(by_photo[:_PHOTOS_SHOWN])
        ]
        table, report = answers.write(session.folder, session.threshold)
        first = by_photo[session.chosen][0].path
        return [
            _summary(answers.rows, len(by_photo), left_out),
            gr.Column(visible=True),
            gr.Gallery(pictures, selected_index=None),
            [_cells(row, len(self._classifier.info.classes)) for row in answers.rows],
            gr.DownloadButton(f"Download {CSV}", value=str(table)),
            gr.DownloadButton(f"Download {REPORT}", value=str(report)),
            gr.Button(f"Explain {first}"),
            "",
        ]


def _not_shown(line: str) -> list[Any]:
    return [line, gr.Column(visible=False), *[gr.skip()] * 6]


def _summary(rows: Sequence[Row], photos: int, left_out: str) -> str:
    """What the rows come to, in a few lines of Markdown."""
    answered = [row for row in rows if row.probabilities]
    names = dict.fromkeys(row.prediction for row in answered)
    counts = ", ".join(
        f"{_escaped(name)} {sum(row.prediction == name for row in answered):,}" for name in sorted(names)
    )
    unreadable = sum(row.unreadable for row in rows)
    no_face = sum(bool(row.error) and not row.unreadable for row in rows)
    lines = [f"**{photos:,} photo{'s' * (photos != 1)}.** {counts or 'No answers'}."]
    lines += [f"{no_face:,} without a face."] if no_face else []
    lines += [f"{unreadable:,} could not be read: see the column error."] if unreadable else []
    lines += [f"The first {_PHOTOS_SHOWN} are shown; the files have all."] if photos > _PHOTOS_SHOWN else []
    return " ".join([*lines, _escaped(left_out)])


def _cells(row: Row, classes: int) -> list[Any]:
    numbers: Sequence[float | None] = row.probabilities or [None] * classes
    return [row.path, row.face.number if row.face else None, row.prediction, *numbers, row.error]


def _written(file: Path, photo: Photo, rows: Sequence[Row]) -> Path:
    file.write_bytes(cv2.imencode(".jpg", drawn_photo(photo, rows)[..., ::-1])[1].tobytes())
    return file


def _name(request: gr.Request) -> str:
    return str(request.session_hash)


def _escaped(text: str) -> str:
    """Text as Markdown shows it as it is: a file's name may hold what Markdown, or HTML, takes for its own."""
    return "".join(f"&#{ord(c)};" if c in "\\`*_{}[]()<>#+-!|~$&" else c for c in text)
