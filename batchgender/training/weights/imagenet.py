"""Torchvision's ImageNet weights, from its cache or its server."""

import socket
import ssl
import sys
from contextlib import redirect_stdout
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import torch

from batchgender.errors import UserError, os_reason
from batchgender.training.weights.state_dict import refusal

_SECONDS = 10.0  # Without an answer for so long, the network counts as unreachable.
_UNREACHABLE = (URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


def download_imagenet_weights(architecture: str) -> tuple[str, Any]:
    """Torchvision's default weights, from its cache or its server: the file's path, and what it holds."""
    from torchvision import models

    if architecture not in models.list_models(module=models):
        raise UserError(f"{architecture}: torchvision has no ImageNet weights for it; choose another --arch")
    weights: Any = models.get_model_weights(architecture).DEFAULT
    cached = Path(torch.hub.get_dir(), "checkpoints", weights.url.rsplit("/", 1)[1])
    elsewhere = f"try again, or download {weights.url} elsewhere and give it with --weights"
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        # torch.hub announces the download on stdout, which is for results.
        with redirect_stdout(sys.stderr):
            data = weights.get_state_dict(
                map_location="cpu", weights_only=True, check_hash=True, progress=sys.stderr.isatty()
            )
        return str(cached), data
    except _UNREACHABLE as error:
        if isinstance(error, HTTPError):
            error.close()  # It is the server's answer, and holds its connection.
        cause = getattr(error, "reason", error)
        reason = os_reason(cause) if isinstance(cause, OSError) else str(error)
        raise UserError(f"can't download the ImageNet weights of {architecture} ({reason}); {elsewhere}") from error
    except OSError as error:
        raise UserError(
            f"{cached}: can't keep the ImageNet weights here ({os_reason(error)}); TORCH_HOME names another folder"
        ) from error
    except Exception as error:
        if cached.exists():
            raise UserError(f"{cached}: {refusal(error)}; delete it to have it downloaded again") from error
        # The one thing that fails between the network and the cache is the hash in the file's name.
        raise UserError(f"the download of the ImageNet weights of {architecture} is broken; {elsewhere}") from error
    finally:
        socket.setdefaulttimeout(timeout)
