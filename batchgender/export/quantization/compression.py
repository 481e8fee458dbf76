"""What a file states of its compression, put together from its steps."""

from dataclasses import asdict, replace

from batchgender.model.metadata import Compression


def merged(before: Compression | None, after: Compression) -> Compression:
    """The compression of an earlier step with that of a later one, whose values stand where both have one."""
    known = {key: value for key, value in asdict(after).items() if value is not None}
    return replace(before, **known) if before else after
