"""The base of everything that crosses a wire."""

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """Frozen, closed to unknown fields, and silent about the values it refuses."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )
