"""Whether a Docker engine can be asked for containers."""

import os
import socket
from contextlib import closing

DEFAULT = "unix:///var/run/docker.sock"
WITHIN_S = 5


def engine_answers() -> bool:
    """Ask the engine of ``DOCKER_HOST``, or the one on this machine's usual socket."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT  # noqa: TID251 - asks the machine
    scheme, _, path = host.partition("://")
    # The client leaves a socket open where nobody listens, so that is found out first.
    return (scheme != "unix" or _listens(path)) and _answers()


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(WITHIN_S)
        return probe.connect_ex(path) == 0


def _answers() -> bool:
    import docker  # type: ignore[import-untyped]  # noqa: PLC0415 - slow, rarely needed
    from docker.errors import (  # type: ignore[import-untyped]  # noqa: PLC0415 - as above
        DockerException,
    )

    try:
        with closing(docker.from_env(timeout=WITHIN_S)) as client:
            return bool(client.ping())
    except (DockerException, OSError):
        return False
