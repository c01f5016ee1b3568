"""A worker's answer as base64 within JSON, for contracts that want it so; it flows as any other."""

import base64

from aiohttp import hdrs
from multidict import CIMultiDict

from nijika.proxy.answer import Answer, Content


class Encoded:
    """Stands for `answer`; its body is base64 between `head` and `tail`, which make JSON of it."""

    def __init__(self, answer: Answer, head: bytes, tail: bytes) -> None:
        self.status = answer.status
        self.url = answer.url
        self.headers = CIMultiDict(answer.headers)
        self.headers[hdrs.CONTENT_TYPE] = "application/json"
        length = self.headers.get(hdrs.CONTENT_LENGTH)
        if length is not None:
            self.headers[hdrs.CONTENT_LENGTH] = str(len(head) + (int(length) + 2) // 3 * 4 + len(tail))
        self.content: Content = _Base64(answer.content, head, tail)


class _Base64:
    def __init__(self, content: Content, head: bytes, tail: bytes) -> None:
        self._content = content
        self._head = head
        self._tail = tail
        self._rest = b""
        self._is_over = False

    @property
    def has_piece(self) -> bool:
        """One of the worker's may be too little for one of ours."""
        return False

    async def readany(self) -> bytes:
        """The next piece; none at the end. The head waits for the first bytes: a failure before them is a clean one."""
        encoded = b""
        while not encoded and not self._is_over:
            piece = await self._content.readany()
            self._is_over = not piece
            whole = self._rest + piece
            cut = len(whole) if self._is_over else len(whole) - len(whole) % 3
            self._rest = whole[cut:]
            encoded = base64.b64encode(whole[:cut]) + (self._tail if self._is_over else b"")
        if encoded:
            encoded, self._head = self._head + encoded, b""
        return encoded
