"""Connections to Postgres, on whichever system."""

import subprocess
import sys

ELSEWHERE = """
import socket

for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE"):
    delattr(socket, name)

from infra.postgres.pool import ALIVE

print(len(ALIVE))
"""


def test_a_system_that_knows_not_all_of_the_options_sets_the_others() -> None:
    """A laptop's: with a Docker engine it needs no Linux."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], check=False, capture_output=True, text=True
    )

    assert (0, "3") == (done.returncode, done.stdout.strip())
