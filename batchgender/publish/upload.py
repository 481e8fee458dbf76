"""The upload of a model to the Hugging Face Hub: one commit, so that it is there whole or not at all."""

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.model.hub_file import Unreachable, hub_errors, prepare_hub_client
from batchgender.publish.publication import MODEL_FILE, Publication
from batchgender.version import __version__


def upload(publication: Publication, private: bool, notify: Notify) -> str:
    """Upload the files, and return the address of the model's page; a repository that is not there is made.

    The account is the one that huggingface_hub is logged in with. Raises UserError where there is none, where it may
    not write there, and where a repository that should be private is public.
    """
    import huggingface_hub
    from huggingface_hub import errors

    prepare_hub_client(notify)
    name, repository = publication.name.text, publication.name.repository
    if not huggingface_hub.get_token():
        raise UserError(f"{name}: log in first, to an account that may write there: `hf auth login`, or HF_TOKEN")
    api = huggingface_hub.HfApi()
    operations = [
        huggingface_hub.CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
        for path, content in publication.files.items()
    ]
    try:
        with hub_errors(name):
            # Without --private as the owner's settings have it, which is public for most.
            page = api.create_repo(repository, private=private or None, exist_ok=True)
            about = api.model_info(repository)
            if private and not about.private:
                raise UserError(f"{name}: is public already; change that on its page, or publish under another name")
            models = [each.rfilename for each in about.siblings or [] if each.rfilename.endswith(".onnx")]
            others = sorted(set(models) - {MODEL_FILE})
            try:
                api.create_commit(repository, operations, commit_message=f"Published with batchgender {__version__}")
            except RuntimeError as error:
                # So says the client that a file could not be uploaded: the cause says why.
                raise error.__cause__ or error from error
            except ValueError as error:
                if isinstance(error, errors.HfHubHTTPError):
                    raise
                raise UserError(f"{name}: the Hub refuses the card ({' '.join(str(error).split())})") from error
    except Unreachable as error:
        raise UserError(f"{name}: {error}; nothing is published") from error
    if others:
        notify(f"{name}: holds other ONNX files, too ({', '.join(others)}): {name}/{MODEL_FILE} names this one")
    notify(f"published, {'private' if about.private else 'public'}: {', '.join(publication.files)}")
    return str(page)
