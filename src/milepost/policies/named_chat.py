"""What answers messages, by one name: a server's address, or a model in this process."""

from __future__ import annotations

from milepost.errors import SettingError
from milepost.part import Chat
from milepost.policies.decoding import Decoding
from milepost.policies.loading import load
from milepost.policies.local_chat import LocalChat
from milepost.policies.server import Server


def chat(name: str) -> Chat:
    """Return what answers messages.

    Args:
        name: "http://host:port/v1#model" for a model behind a server; else what `loading.load` knows, such as "smollm2"
            or a folder.

    Returns:
        A connection, not yet made, or a loaded model.

    Raises:
        SettingError: an address without a model.
        UnknownName: no such model.

    Example:
        >>> chat("http://127.0.0.1:8000/v1#judge").model
        'judge'
    """
    if name.startswith(("http://", "https://")):
        address, _, model = name.partition("#")
        if not model:
            raise SettingError(f"{name!r} names no model: write it behind a #, as in http://127.0.0.1:8000/v1#judge.")
        return Server(base_url=address, name=model)
    return LocalChat(policy=load(name, decoding=Decoding()), name=name)
