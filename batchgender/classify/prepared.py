"""A classifier made ready for the photos of a run: its execution provider, its faces, its worker processes."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from typing import Any

from batchgender.classify.face_choice import Sampled, as_before, choose_faces
from batchgender.classify.pipeline import Classifier
from batchgender.classify.run_options import RunOptions
from batchgender.classify.worker_processes import WorkerProcesses, can_isolate
from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.model.session import provider_named
from batchgender.photos.source import PhotoSource


@contextmanager
def prepared(
    classifier: Classifier,
    source: PhotoSource,
    sample: Sampled,
    before: Mapping[str, Any],
    options: RunOptions,
    notify: Notify,
) -> Iterator[tuple[Classifier, WorkerProcesses | None]]:
    """The classifier for these photos, and its worker processes, None where threads answer, for the time of the block.

    `before` are the settings of the run that this one goes on from, empty where there is none; `sample` gives the
    photos that `--faces auto` looks at. To be entered before this process has threads. Raises UserError.
    """
    classifier = classifier.for_photos(source, provider_named(str(before.get("provider"))))
    faces = as_before(options.faces, before)
    classifier = classifier.on_faces(choose_faces(classifier.info, sample, faces, classifier.workers, notify))
    if options.isolate and not can_isolate(classifier.model.session.provider):
        raise UserError(
            f"--isolate is for Linux and --provider cpu, not for {classifier.model.session.provider}; leave it out"
        )
    cores = "1 core" if classifier.workers == 1 else f"{classifier.workers} cores"
    notify(f"computed by {classifier.model.session.provider}, {cores}")
    processes = (
        classifier.worker_processes(options.threshold, options.seconds) if options.isolate is not False else None
    )
    with closing(processes) if processes else nullcontext():
        yield classifier, processes
