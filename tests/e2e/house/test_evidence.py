"""A running gateway serves a tenant its own log, and nobody else's."""

import json
from pathlib import Path
from time import sleep
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from demo.launch import Access, Sluice

pytestmark = pytest.mark.e2e


def fetched(url: str, key: str | None) -> tuple[int, bytes]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def signed(access: Access) -> None:
    """Wait for the log's first checkpoint."""
    for _ in range(120):
        if json.loads(fetched(f"{access.gateway}/ledger/", access.api_key)[1]):
            return
        sleep(0.5)
    raise AssertionError("nobody signs the log")


def test_a_tenant_reads_its_own_checkpoint_and_no_stranger_does(
    sluice: tuple[Sluice, Access], tmp_path: Path
) -> None:
    made, access = sluice
    signed(access)
    out = tmp_path / "export"
    assert (
        made.run("audit", "export", str(out), "--tenant", access.tenant_id).returncode
        == 0
    )
    record = json.loads(next(out.rglob("*.jsonl")).read_text().splitlines()[0])
    origin = str(record["log"])
    log = origin.rpartition("/")[2]
    url = f"{access.gateway}/ledger/{log}"
    stranger = made.onboard("Stranger", ())

    status, note = fetched(url + "/checkpoint", access.api_key)

    assert (200, origin) == (status, note.decode().splitlines()[0])
    assert 404 == fetched(url + "/checkpoint", stranger.api_key)[0]
    assert 404 != fetched(url + "/checkpoint", None)[0] != 200
    keys = json.loads(fetched(url + "/vkeys.json", access.api_key)[1])["keys"]
    assert keys[0]["vkey"].startswith(f"{origin}+")
    bundle = fetched(url + "/tile/entries/000.p/1", access.api_key)
    assert 200 == bundle[0]
    assert bundle[1][2:] == next(out.rglob("*.jsonl")).read_bytes().splitlines()[0]
