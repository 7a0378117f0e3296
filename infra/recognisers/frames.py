"""Frames between a process and its recogniser: length (u32 big-endian), then JSON."""

from typing import Final

HEAD_BYTES: Final = 4
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024


def framed(body: bytes) -> bytes:
    """A frame."""
    return len(body).to_bytes(HEAD_BYTES, "big") + body


def length(head: bytes) -> int:
    """How many bytes follow.

    Raises:
        ValueError: more than any frame of ours has.
    """
    size = int.from_bytes(head, "big")
    if size > MAX_FRAME_BYTES:
        raise ValueError(f"expected a frame of at most {MAX_FRAME_BYTES} bytes")
    return size
