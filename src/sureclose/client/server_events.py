"""Server-sent events (WHATWG HTML, section 9.2), as far as the API uses them: the data of each."""

from collections.abc import AsyncIterable, AsyncIterator


async def data_of(lines: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The data of each event that has come whole; comments, which only keep the line busy, are none."""
    data: list[bytes] = []
    async for line in lines:
        text = line.rstrip(b"\r\n")
        if not text:
            if data:
                yield b"\n".join(data)
            data = []
            continue
        name, _, value = text.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
