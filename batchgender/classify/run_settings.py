"""What a run was made with, as plain data: for who resumes it, and for who reads its report."""

from typing import Any

from batchgender.classify.face_choice import face_settings
from batchgender.classify.pipeline import Classifier
from batchgender.photos.photo import printable
from batchgender.photos.source import PhotoSource


def run_settings(classifier: Classifier, source: PhotoSource, thresholds: dict[str, float]) -> dict[str, Any]:
    """What decides the rows of a run beside its photos, as plain data: a resumed run has to have the same."""
    return {
        "model": classifier.model.fingerprint,
        "photos_from": source.origins,
        "threshold": thresholds,
        "provider": classifier.model.session.provider,
        **face_settings(classifier.faces),
        **({"fps": source.fps} if source.fps else {}),
        **({} if source.names else {"labels": "none"}),
        **({"label_names": source.names.as_dict()} if source.names and source.names.given else {}),
        **({"labels_file": digest} if (digest := source.stated_digest) else {}),
        **({"shard": str(source.shard)} if source.shard else {}),
    }


def run_description(classifier: Classifier, source: PhotoSource, thresholds: dict[str, float]) -> dict[str, Any]:
    """What a report says of its run: the model, its thresholds, where the photos are."""
    return {
        "model": printable(classifier.model.title),
        "photos_from": [printable(each) for each in source.inputs],
        "thresholds": thresholds,
        **({"trained_on": classifier.info.dataset} if classifier.info.dataset else {}),
    }
