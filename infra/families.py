"""Every metric's name, unit, help, and the closed set of each label's values.

Labels are words of ours: never a tenant, a request, a key or a path.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from pipeline.admission import No
from pipeline.reasons import CUT_SHORT, Reason
from schemas.policies import Guard, Mode
from schemas.requests import Outcome
from schemas.topics import TOPICS

M = TypeVar("M", Counter, Gauge, Histogram)

NONE: Final = "none"
GROUPS: Final = tuple(topic.group for topic in TOPICS if topic.group is not None)
ERRORS: Final = ("RetryableError", "IntegrityError", "InvalidMessage")
BURIALS: Final = ("invalid_message", "handler_error")
WAYS: Final = ("http", "inbox")
HTTP_CODES: Final = (
    "body-too-large",
    "body-too-slow",
    "content-destroyed",
    "credential-in-query",
    "credential-invalid",
    "credential-missing",
    "forbidden",
    "headers-too-large",
    "idempotency-key-reused",
    "invalid-request",
    "not-in-background",
    "not-ready",
    "overloaded",
    "rate-limited",
    "still-open",
    "stream-unsupported",
    "unexpected",
    "unknown-model",
    "unsupported",
    "unsupported-media-type",
)
"""Problem codes with which the gateway refuses a request."""
INBOX_CODES: Final = tuple(no.value for no in No)
FAMILIES_OF_REASONS: Final = ("security", "privacy", "policy")
"""Why screening blocks is dotted; its first word is counted."""
REASONS: Final = (NONE, CUT_SHORT, *(r.value for r in Reason), *FAMILIES_OF_REASONS)
VERDICTS: Final = (
    "allowed",
    "flagged",
    "blocked",
    "unscreened",
    *(mode.value for mode in Mode),
    "near",
    "failed_closed",
    "failed_open",
)
OPERATIONS: Final = ("create", "fetch", "forget")
OUTCOMES: Final = ("delivered", "again", "exhausted", "gone", "erased")
"""What follows from an attempt of a webhook; ``erased``: none could be made."""
REFUSALS: Final = (
    "3xx",
    "4xx",
    "5xx",
    "connection",
    "target_forbidden",
    "timeout",
    "tls",
)
"""Answers to an attempt that was no success: a status by its class, or a word."""
ANSWERS: Final = ("2xx", *REFUSALS, NONE)
WORKERS: Final = (
    "anchoring",
    "checkpointer",
    "completeness",
    "content_pass",
    "incidents",
    "expired_rows",
    "expiry",
    "full_pass",
    "gauges",
    "inbox_keys",
    "old_webhooks",
    "outbox",
    "replay",
    "rewrite",
    "sweeper",
    "webhooks",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared(Generic[M]):
    """One metric.

    Attributes:
        labels: every value that each label can have, beside ``other``.
    """

    kind: type[M]
    name: str
    help: str
    labels: Mapping[str, Collection[str]] = field(default_factory=dict)


HANDLED = Declared(
    kind=Counter,
    name="sluice_records_handled_total",
    help="Records whose effects are durable and whose end was noted.",
    labels={"group": GROUPS},
)
RETRIES = Declared(
    kind=Counter,
    name="sluice_record_retries_total",
    help="Attempts after the first, by the class of the error.",
    labels={"group": GROUPS, "error": ERRORS},
)
DEAD_LETTERS = Declared(
    kind=Counter,
    name="sluice_dead_letters_total",
    help="Records that were buried, by reason.",
    labels={"group": GROUPS, "reason": BURIALS},
)
WAITING = Declared(
    kind=Gauge,
    name="sluice_partitions_waiting",
    help="Partitions (or calls) that wait for something that everyone shares.",
    labels={"group": GROUPS},
)
STOPPED = Declared(
    kind=Gauge,
    name="sluice_partitions_stopped",
    help="Partitions that are held or halted until somebody looks.",
    labels={"group": GROUPS, "state": ("held", "halted")},
)
LAG = Declared(
    kind=Gauge,
    name="sluice_consumer_lag_records",
    help="Records to do, of the partitions that this process holds.",
    labels={"group": GROUPS},
)
COMMITS_REFUSED = Declared(
    kind=Counter,
    name="sluice_commits_refused_total",
    help="Commits that failed; what they held is committed again or read again.",
    labels={"group": GROUPS},
)
EXPIRED = Declared(
    kind=Counter,
    name="sluice_records_expired_total",
    help="Records that retention deleted before the group read them.",
    labels={"group": GROUPS},
)
BATCH_SECONDS = Declared(
    kind=Histogram,
    name="sluice_batch_seconds",
    help="From a batch's arrival until its effects were durable; ordered groups.",
    labels={"group": GROUPS},
)
STAGE_SECONDS = Declared(
    kind=Histogram,
    name="sluice_stage_seconds",
    help="From a record's append until its effects are durable; a batch's oldest.",
    labels={"group": GROUPS},
)
ACCEPTED = Declared(
    kind=Counter,
    name="sluice_requests_accepted_total",
    help="Requests that became durable.",
    labels={"way": WAYS},
)
REFUSED = Declared(
    kind=Counter,
    name="sluice_requests_refused_total",
    help="Requests that were not accepted, by problem code.",
    labels={"way": WAYS, "code": tuple(sorted({*HTTP_CODES, *INBOX_CODES}))},
)
FINISHED = Declared(
    kind=Counter,
    name="sluice_requests_finished_total",
    help="Requests that ended, by outcome and reason.",
    labels={
        "outcome": tuple(each.value for each in Outcome),
        "reason": REASONS,
    },
)
GUARD_VERDICTS = Declared(
    kind=Counter,
    name="sluice_guard_verdicts_total",
    help="What guards said, once a guard, verdict and rule of a request.",
    labels={"guard": tuple(each.value for each in Guard), "verdict": VERDICTS},
)
WEBHOOK_ATTEMPTS = Declared(
    kind=Counter,
    name="sluice_webhook_attempts_total",
    help="Attempts of webhooks, by what was answered and what follows.",
    labels={"answer": ANSWERS, "outcome": OUTCOMES},
)
INCIDENTS = Declared(
    kind=Counter,
    name="sluice_ledger_incidents_total",
    help="Incidents that the ledger recorded on its own account.",
)
ANSWER_SECONDS = Declared(
    kind=Histogram,
    name="sluice_answer_seconds",
    help="From a request's arrival at the gateway to its answer.",
)
OPEN_REQUESTS = Declared(
    kind=Gauge,
    name="sluice_requests_open",
    help="Requests for whose end this gateway waits.",
)
KEYSTORE_SECONDS = Declared(
    kind=Histogram,
    name="sluice_keystore_seconds",
    help="How long the keystore took, a batch of keys at once.",
    labels={"operation": OPERATIONS},
)
KEYSTORE_KEYS = Declared(
    kind=Counter,
    name="sluice_keystore_keys_total",
    help="Data keys that were created, fetched or forgotten.",
    labels={"operation": OPERATIONS},
)
KEYSTORE_FAILURES = Declared(
    kind=Counter,
    name="sluice_keystore_failures_total",
    help="Batches of keys that the keystore did not answer.",
    labels={"operation": OPERATIONS},
)
WORKER_IDLE = Declared(
    kind=Gauge,
    name="sluice_worker_since_success_seconds",
    help="Since a round of a timed worker last ended well, or since its start.",
    labels={"worker": WORKERS},
)
OUTBOX = Declared(
    kind=Gauge,
    name="sluice_outbox_events",
    help="Events of operators' acts that are not published yet.",
)
OUTBOX_AGE = Declared(
    kind=Gauge,
    name="sluice_outbox_oldest_seconds",
    help="How long the oldest of them has waited.",
)
LEDGER_RECORDS = Declared(
    kind=Gauge,
    name="sluice_ledger_records",
    help="Records on all logs.",
)
LEDGER_LOGS = Declared(
    kind=Gauge,
    name="sluice_ledger_logs",
    help="Logs, one a tenant, and the root.",
)
CHECKPOINT_AGE = Declared(
    kind=Gauge,
    name="sluice_ledger_checkpoint_age_seconds",
    help="Since every log that grew was last verified and signed.",
)
CHECKED_UNTIL = Declared(
    kind=Gauge,
    name="sluice_completeness_checked_until_seconds",
    help="Unix time: what was accepted before was held against the ledger.",
)
LOGS_BROKEN = Declared(
    kind=Gauge,
    name="sluice_ledger_logs_broken",
    help="Logs that did not hold in the last full pass; more than 0 is an alarm.",
)

DELIVERY: Final[Sequence[Declared[Any]]] = (
    HANDLED,
    RETRIES,
    DEAD_LETTERS,
    WAITING,
    STOPPED,
    LAG,
    COMMITS_REFUSED,
    EXPIRED,
    BATCH_SECONDS,
    STAGE_SECONDS,
)
KEYSTORE: Final = (KEYSTORE_SECONDS, KEYSTORE_KEYS, KEYSTORE_FAILURES)
GAUGES: Final = (OUTBOX, OUTBOX_AGE, LEDGER_RECORDS, LEDGER_LOGS)
ALL: Final[Sequence[Declared[Any]]] = (
    *DELIVERY,
    ACCEPTED,
    REFUSED,
    FINISHED,
    GUARD_VERDICTS,
    WEBHOOK_ATTEMPTS,
    INCIDENTS,
    ANSWER_SECONDS,
    OPEN_REQUESTS,
    *KEYSTORE,
    WORKER_IDLE,
    *GAUGES,
    CHECKPOINT_AGE,
    CHECKED_UNTIL,
    LOGS_BROKEN,
)
