"""The outsiders that an operator named."""

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING

from infra.anchors.authority import Authority
from infra.anchors.witness import HttpWitness
from infra.settings import BucketSettings, LedgerSettings
from pipeline.anchors.cosignatures import WITNESS
from pipeline.anchors.timestamps import parse_certificates
from pipeline.checkpoint import parse_key
from pipeline.ports.anchors import Stamper, Vault, Witness
from pipeline.ports.system import Clock

if TYPE_CHECKING:
    from infra.anchors.bucket import Bucket


def stampers(settings: LedgerSettings) -> Mapping[str, Stamper]:
    """The authorities, by name. Reads their certificates from the disk.

    Raises:
        OSError: a file of certificates cannot be read.
        InvalidMessage: it holds none.
    """
    return {
        name: Authority(
            str(each.url), parse_certificates(each.certificates.read_bytes())
        )
        for name, each in settings.timestamps.items()
    }


def witnesses(settings: LedgerSettings) -> Mapping[str, Witness]:
    """The witnesses, by name.

    Raises:
        InvalidMessage: a key is no witness's.
    """
    return {
        name: HttpWitness(str(each.url).rstrip("/"), parse_key(each.key, WITNESS))
        for name, each in settings.witnesses.items()
    }


def vaults(settings: LedgerSettings, clock: Clock) -> Mapping[str, Vault]:
    """The buckets, by name.

    Raises:
        ImportError: there are some, and the extra ``s3`` is not installed.
    """
    return {name: bucket(each, clock) for name, each in settings.buckets.items()}


def bucket(settings: BucketSettings, clock: Clock) -> "Bucket":
    """One bucket.

    Raises:
        ImportError: the extra ``s3`` is not installed.
    """
    # Not every installation has the extra; without a bucket nobody misses it.
    boto3, kind = import_module("boto3"), import_module("infra.anchors.bucket")
    endpoint = str(settings.endpoint) if settings.endpoint else None
    made: Bucket = kind.Bucket(
        client=boto3.client("s3", endpoint_url=endpoint),
        name=settings.name,
        clock=clock,
        held_for=timedelta(days=settings.held_days),
    )
    return made
