"""Models of the Hugging Face Hub: `hf:OWNER/NAME` names one, which huggingface_hub fetches into its usual cache."""

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from batchgender.errors import UserError, os_reason
from batchgender.extras import require_extra
from batchgender.io import Notify, first_line, silent

_PREFIX = "hf:"
_NAME = re.compile(r"hf:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<file>.+))?")
_FORMS = "hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:OWNER/NAME/FILE"
_LATEST = "main"
# Without an answer for so long the Hub counts as unreachable.
_SECONDS = 10.0
# So many files are named where there are more.
_NAMED = 5
_LOG_IN = "log in (`hf auth login`, or the variable HF_TOKEN)"


class Unreachable(Exception):
    """The Hub gives no answer; the message says why."""


@dataclass(frozen=True)
class HubName:
    """What `hf:OWNER/NAME@REVISION/FILE` names; the text as given, and "" for the parts that it leaves out."""

    text: str
    repository: str
    revision: str
    file: str


def is_hub_name(name: str) -> bool:
    """Whether this names a model of the Hub, rather than a file."""
    return name.startswith(_PREFIX)


def parse_hub_name(text: str) -> HubName:
    """The parts of `hf:OWNER/NAME`, `hf:OWNER/NAME@REVISION/FILE` and the like; raises UserError on others."""
    if not (found := _NAME.fullmatch(text)):
        raise UserError(f"{text}: names no model of the Hugging Face Hub; they are named {_FORMS}")
    # A slash within a revision is written %2F, as everywhere on the Hub.
    return HubName(text, found["repository"], unquote(found["revision"] or ""), found["file"] or "")


def fetch_hub_file(text: str, notify: Notify = silent) -> str:
    """Fetch the model file that `text` names, and the files of its weights, into the cache; return where it lies.

    Without an answer of the Hub, or offline (HF_HUB_OFFLINE=1), its copy in the cache is taken. Raises UserError where
    there is none, where there is no such model or it may not be read, and where FILE is needed to choose one.
    """
    asked = parse_hub_name(text)
    require_extra("hub", f"{text}: a model of the Hugging Face Hub")
    prepare_hub_client(notify)
    try:
        with hub_errors(text):
            return _fetched(asked, notify)
    except Unreachable as error:
        cached = _cached_files(asked)
        if not (cached.keys() & {asked.file} if asked.file else _models(cached)):
            raise UserError(
                f"{text}: {error}, and there is no copy in the cache; fetch it once with a network, or name a file"
            ) from error
        chosen = _chosen(asked, sorted(cached))
        notify(f"{text}: {error}; {chosen} is taken from the cache")
        return str(cached[chosen])


def prepare_hub_client(notify: Notify) -> None:
    """Have huggingface_hub log no line of its own, and draw bars on a terminal alone, where the run is not quiet."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if notify is silent or sys.stderr is None or not sys.stderr.isatty():
        disable_progress_bars()


def hub_host() -> str:
    """The Hub's host, or that of the mirror that HF_ENDPOINT names."""
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).hostname or constants.ENDPOINT


@contextmanager
def hub_errors(text: str) -> Iterator[None]:
    """Raise Unreachable where the Hub gives no answer in this block, and UserError, beginning with `text`, else."""
    from huggingface_hub import errors

    try:
        yield
    except (UserError, Unreachable):
        raise
    except errors.OfflineModeIsEnabled as error:
        raise Unreachable("HF_HUB_OFFLINE is set") from error
    except errors.HfHubHTTPError as error:
        if error.response is not None and error.response.status_code >= 500:
            raise Unreachable(f"{hub_host()} answers HTTP {error.response.status_code}") from error
        raise UserError(f"{text}: {refusal(error)}") from error
    except errors.LocalEntryNotFoundError as error:
        raise Unreachable(f"no answer from {hub_host()} ({first_line(error.__cause__ or error)})") from error
    except errors.HFValidationError as error:
        raise UserError(f"{text}: names no model of the Hugging Face Hub ({first_line(error)})") from error
    except OSError as error:
        if error.filename is None:
            raise Unreachable(f"no answer from {hub_host()} ({first_line(error)})") from error
        raise UserError(f"{error.filename}: can't keep {text} in the cache ({os_reason(error)})") from error
    except Exception as error:  # The client's HTTP library has exceptions of its own, another one in each version.
        raise Unreachable(f"no answer from {hub_host()} ({first_line(error)})") from error


def refusal(error: Any, what: str = "model") -> str:
    """Why the Hub refuses a `what`, of its client's HfHubHTTPError: not in its own words, which name requests."""
    from huggingface_hub import errors

    code = error.response.status_code if error.response is not None else 0
    if isinstance(error, errors.GatedRepoError):
        return f"is gated: its owner lets in who asks; ask on its page on {hub_host()}, then {_LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"no such revision of this {what}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"no such {what} on {hub_host()}, or a private one: check the name, or {_LOG_IN} as who may read it"
    if code == 401:
        return f"{hub_host()} does not know the token that is set: {_LOG_IN} again"
    if code == 403:
        return f"the token that is set does not allow this: {_LOG_IN} as who may"
    if code == 429:
        return f"{hub_host()} wants fewer requests: try again in some minutes, or {_LOG_IN}"
    return f"{hub_host()} answers HTTP {code}"


def _fetched(asked: HubName, notify: Notify) -> str:
    import huggingface_hub

    revision = asked.revision or _LATEST
    about = huggingface_hub.HfApi().model_info(asked.repository, revision=revision, timeout=_SECONDS)
    files = sorted(each.rfilename for each in about.siblings or [])
    chosen = _chosen(asked, files)
    notify(f"{asked.text}: {chosen} of revision {(about.sha or revision)[:7]}")
    # ONNX keeps weights of more than 2 GB in files beside the graph.
    weights = [file for file in files if file.startswith((f"{chosen}_data", f"{chosen}.data"))]
    paths = [huggingface_hub.hf_hub_download(asked.repository, each, revision=revision) for each in (*weights, chosen)]
    return paths[-1]


def _chosen(asked: HubName, files: Sequence[str]) -> str:
    """The file that is named, else the only ONNX file among these; raises UserError where there is no such one."""
    models = _models(files)
    if asked.file:
        if asked.file in files:
            return asked.file
        raise UserError(f"{asked.text}: no such file in this repository; {_listed('ONNX files', models)}")
    if not models:
        raise UserError(
            f"{asked.text}: holds no ONNX file; {_listed('its files', files)}; models of other kinds are exported to"
            " ONNX first (docs/use-another-model.md)"
        )
    if len(models) > 1:
        raise UserError(
            f"{asked.text}: holds {len(models)} ONNX files; name one of them, as in {asked.text}/{models[0]};"
            f" {_listed('they are', models)}"
        )
    return models[0]


def _models(files: Iterable[str]) -> list[str]:
    return [file for file in files if file.lower().endswith(".onnx")]


def _listed(title: str, files: Sequence[str]) -> str:
    more = ", ..." if len(files) > _NAMED else ""
    return f"{title}: {', '.join(files[:_NAMED]) or 'none'}{more}"


def _cached_files(asked: HubName) -> dict[str, Path]:
    """The files of this revision that lie in the cache, by their paths in the repository."""
    import huggingface_hub

    revision = asked.revision or _LATEST
    try:
        repositories = huggingface_hub.scan_cache_dir().repos
    except huggingface_hub.CacheNotFound:
        return {}
    for repository in repositories:
        if (repository.repo_type, repository.repo_id) == ("model", asked.repository):
            for cached in repository.revisions:
                if revision in (*cached.refs, cached.commit_hash):
                    files = (file.file_path for file in cached.files)
                    return {file.relative_to(cached.snapshot_path).as_posix(): file for file in files}
    return {}
