"""The engine `ray`: a run on the machines of a Ray cluster, in shards that are merged."""

import logging
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import Any

from batchgender.classify.face_choice import ALL, LARGEST, OFF, FaceOptions, choose_faces
from batchgender.classify.merge_results import check_merge, merge_results
from batchgender.classify.pipeline import Classifier
from batchgender.classify.ray_actors import RayActors, RayJob
from batchgender.classify.run import FinishedRun, check_any
from batchgender.classify.run_options import RunOptions
from batchgender.classify.run_settings import run_settings
from batchgender.errors import UserError, os_reason
from batchgender.extras import require_extra
from batchgender.io import Notify, first_line
from batchgender.lock import locked
from batchgender.photos.source import PhotoSource
from batchgender.progress import Progress
from batchgender.results.csv_style import EXACT, CsvStyle
from batchgender.results.parts import open_parts
from batchgender.results.results_file import ResultsFile
from batchgender.results.shard_parts import ShardParts, begin_parts, parts_folder
from batchgender.threads import available_cores

# So many shards an actor: at the end few idle, and of a machine that is lost most shards are done.
_SHARDS_AN_ACTOR, _FEWEST = 4, 8
# Seconds that a cluster has to take a connection.
_ANSWERS = 10
_GO_ON = "the shards so far are kept, go on with --resume"


@dataclass(frozen=True)
class RayOptions:
    """Where a run on Ray is computed, and where its rows go.

    `address` is that of a cluster, None for one of this machine alone; `workers` is how many actors there are at most,
    None for one a core.
    """

    out: str
    address: str | None = None
    workers: int | None = None
    resume: bool = False
    overwrite: bool = False
    style: CsvStyle = EXACT


@dataclass
class _Found:
    """What the walks of the shards found beside photos: each shard's walk finds all."""

    skipped: Counter[str] = field(default_factory=Counter)
    unlistable: int = 0
    unknown_labels: Counter[str] = field(default_factory=Counter)


def classify_on_ray(
    job: RayJob, classifier: Classifier, source: PhotoSource, options: RunOptions, where: RayOptions, notify: Notify
) -> FinishedRun:
    """Classify every photo of `source` on a cluster, and write the reports, as `classify_photos` does.

    `job` is that of the actors; `classifier` and `source` are what it opens, here. The shards that are done are kept
    in `OUT.parts` until all are merged; a resumed run does those that are missing. Raises UserError.
    """
    require_extra("ray", "--engine ray")
    started = time.monotonic()
    sink = ResultsFile(where.out, where.resume, where.overwrite, where.style)
    if sink.resumed and not parts_folder(sink.out).exists():
        raise UserError(f"{sink.part}: a run without --engine ray; resume it without, or start again with --overwrite")
    reports = check_merge(sink, options.reports)
    check_any(source)
    with locked([sink.out, *reports], notify), _cluster(where) as ray:
        finder = choose_faces(classifier.info, source, options.faces, classifier.workers, notify)
        mode = OFF if finder is None else ALL if finder.every else LARGEST
        # Decided once, for all shards.
        faces = FaceOptions(OFF) if mode == OFF else replace(options.faces, mode=mode)
        job = replace(job, options=replace(job.options, faces=faces))
        settings = run_settings(classifier.on_faces(finder), source, classifier.thresholds(options.threshold))
        limit = where.workers or max(int(ray.cluster_resources().get("CPU", 0)), 1)
        of = max(_SHARDS_AN_ACTOR * limit, _FEWEST)
        parts = begin_parts(sink.out, of, settings, where.resume, where.overwrite)
        there = parts.done()
        machines = sum(node["Alive"] for node in ray.nodes())
        before = f", {len(there):,} of them done before" if there else ""
        notify(f"computed by Ray: up to {limit:,} cores of {machines:,} machines; {parts.of:,} shards{before}")
        resumed = sum(map(parts.photos, there))
        try:
            found = _classify_missing(RayActors(ray, job, parts.of, limit, notify), parts, source, resumed, notify)
        except UserError as error:
            if not parts.done():
                parts.remove()
                raise
            raise UserError(f"{error}; {_GO_ON}") from error
        except KeyboardInterrupt:
            notify(f"{parts.folder}: {len(parts.done()):,} of {parts.of:,} shards: {_GO_ON}")
            raise
        merged = open_parts([str(parts.file(number)) for number in range(1, parts.of + 1)], False, notify)
        # What a merge left that was stopped.
        sink.part.unlink(missing_ok=True)
        shown = source if options.thumbnails else None
        figures, written = merge_results(merged, sink, reports, bool(options.reports), notify, options.groups, shown)
        parts.remove()
    seconds = time.monotonic() - started
    return FinishedRun(
        figures, tuple(written), found.skipped, found.unlistable, seconds, resumed, (), found.unknown_labels
    )


def _classify_missing(
    actors: RayActors, parts: ShardParts, source: PhotoSource, resumed: int, notify: Notify
) -> _Found:
    found, said = _Found(), set[str]()
    there = set(parts.done())
    missing = [number for number in range(1, parts.of + 1) if number not in there]
    with Progress("classify", "photos", notify, initial=resumed) as progress:
        if progress.on_terminal:
            Thread(target=lambda: progress.set_total(source.total()), daemon=True).start()
        for done in actors.done(missing):
            parts.add(done.number, done.rows, done.record)
            progress.update(done.photos)
            found.skipped, found.unlistable = done.skipped, max(found.unlistable, done.unlistable)
            found.unknown_labels += done.unknown_labels
            for line in done.said:
                if line not in said:
                    said.add(line)
                    notify(line)
    return found


@contextmanager
def _cluster(where: RayOptions) -> Iterator[Any]:
    """Ray, connected to a cluster, or begun on this machine alone; raises UserError where that can't be."""
    if where.address:
        _check_address(where.address)
    import ray

    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if where.address:
        options["address"] = where.address
    else:
        # Not the cluster that RAY_ADDRESS names; and no other machine can ask this one for work.
        options |= {
            "address": "local",
            "num_cpus": where.workers or available_cores(),
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
        }
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        at = f"--ray-address {where.address}: no Ray cluster there" if where.address else "Ray can't be started here"
        raise UserError(f"{at} ({first_line(error)})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise UserError where nobody answers: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535 or "/" in host:
        raise UserError(f"--ray-address {address}: give HOST:PORT, as `ray start --head` says it")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS).close()
    except OSError as error:
        raise UserError(f"--ray-address {address}: no Ray cluster there ({os_reason(error)})") from error
