"""``POST /v1/chat/completions``: accept, wait, answer."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from producers.faults import Fault
from producers.gateway.answering import Answering
from producers.gateway.asking import Asking
from schemas.requests import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """OpenAI's chat completions, answered in one piece."""

    asking: Asking
    answering: Answering

    async def post(self, request: Request) -> Response:
        """Answer one request; every no in OpenAI's shape."""
        asked = await self.asking.asked(request, Dialect.OPENAI_CHAT)
        if isinstance(asked, Fault):
            return self.asking.refused(request, asked)
        return await self.answering.answer(request, asked)
