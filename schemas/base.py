"""The base of everything that crosses a wire."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader reads exactly (RFC 8785, 3.2.2.3)."""
Exact = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
"""A number that may stand in a record of the ledger."""


class Schema(BaseModel):
    """Frozen, closed to unknown fields, and silent about the values it refuses."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )
