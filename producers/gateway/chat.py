"""``POST /v1/chat/completions``: accept, wait, answer."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

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
        asking, answering = self.asking, self.answering
        return await answering.answer(
            request, await asking.asked(request, Dialect.OPENAI_CHAT)
        )
