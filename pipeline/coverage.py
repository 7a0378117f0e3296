"""Coverage: did every guard that the policy required run?

What was required comes from the policy version at admission, what ran from the stages.
A log line that says success proves nothing: a guard that was skipped wrote one too.
"""

from schemas.audit import AuditRecord, AuditRecorded

NOT_RUN = frozenset({"failed_open", "not_run"})
"""Verdicts of a guard that let a request pass without having judged it."""


def not_run(found: AuditRecord | AuditRecorded) -> frozenset[str]:
    """The required guards that did not run, by a record that ends a request.

    A guard that failed open did not run, whatever it is listed as.
    """
    failed = {each.control for each in found.decision if each.verdict in NOT_RUN}
    ran = set(found.guards_ran) - failed
    return frozenset(found.guards_required) - ran
