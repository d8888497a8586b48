"""Awaitable calls: equal results, an event loop that never waits, cancellation, bounded threads."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wavrag import Document, WavRAG
from wavrag.embed import FakeEmbedder
from wavrag.errors import GenerationError, InputError, StoreError
from wavrag.generate import FakeGenerator, GenerateOptions, GeneratorSpec, Message
from wavrag.rag import AsyncAnswerStream

TEXTS = ["Bees dance to show where flowers are.", "The ferry leaves at nine."]
SECONDS = 30  # until a test that hangs fails


class Slow(FakeGenerator):
    """Writes a word, then waits until the test lets it go on."""

    def __init__(self) -> None:
        self.spec = GeneratorSpec("slow")
        self.started, self.released, self.ended = (threading.Event() for _ in range(3))
        self.written = 0

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        try:
            for _ in range(100):
                self.written += 1
                yield "Bees "
                self.started.set()
                assert self.released.wait(SECONDS)
            yield "dance [1]."
        finally:
            self.ended.set()


@pytest.fixture
def rag(tmp_path: Path) -> Iterator[WavRAG]:
    with WavRAG.open(tmp_path / "kb", embedder="fake", generator=FakeGenerator()) as rag:
        rag.add(*(Document(text.split()[1], text=text) for text in TEXTS))
        yield rag


def test_awaited_calls_give_the_results_of_the_others(rag: WavRAG) -> None:
    async def ask() -> None:
        assert await rag.asearch("bees", k=1) == rag.search("bees", k=1)
        answer = await rag.aask("why do bees dance", history=[rag.ask("ferry").history_turn])
        assert (answer.text, answer.citations) == (
            (direct := rag.ask("why do bees dance")).text,
            direct.citations,
        )
        async with await rag.astream("why do bees dance") as stream:
            retrieval = await stream.retrieval()
            text = "".join([text async for text in stream])
        assert retrieval.hits == (await stream.answer()).hits
        assert text == "".join(rag.stream("why do bees dance"))

    asyncio.run(ask())


def test_the_errors_are_those_of_the_other_calls(rag: WavRAG, tmp_path: Path) -> None:
    async def fail() -> None:
        with pytest.raises(InputError, match="k is 0"):
            await rag.asearch("bees", k=0)
        with pytest.raises(InputError, match=r"none\.wav"):
            await rag.aask(tmp_path / "none.wav")
        with pytest.raises(StoreError, match="no knowledge base"):
            await WavRAG.aopen(tmp_path / "none", create=False)

    asyncio.run(fail())


def test_the_event_loop_runs_while_an_answer_is_written_and_ends_it_on_cancellation(
    rag: WavRAG,
) -> None:
    rag.generator = generator = Slow()

    async def cancel() -> None:
        task = asyncio.create_task(rag.aask("why do bees dance"))
        while not generator.started.is_set():
            await asyncio.sleep(0.001)
        assert await rag.asearch("ferry", k=1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        generator.released.set()

    asyncio.run(cancel())
    assert generator.ended.wait(SECONDS)
    assert generator.written < 100


def test_a_stream_that_was_left_or_cancelled_is_at_its_end(rag: WavRAG) -> None:
    rag.generator = generator = Slow()

    async def leave() -> AsyncAnswerStream:
        async with await rag.astream("why do bees dance") as stream:
            async for _ in stream:
                break
        assert generator.ended.is_set()
        assert [text async for text in stream] == []
        with pytest.raises(GenerationError, match="closed before"):
            await stream.answer()
        return stream

    asyncio.run(leave())
    assert generator.written == 1


def test_a_cancelled_search_that_waits_for_a_thread_never_runs(
    rag: WavRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, searches = threading.Event(), []

    def search(question: str, k: int, where: None) -> list[object]:
        searches.append(question)
        assert released.wait(SECONDS)
        return []

    async def fill(rag: WavRAG, threads: int) -> None:
        tasks = [asyncio.create_task(rag.asearch(str(n))) for n in range(threads + 2)]
        while len(searches) < threads:
            await asyncio.sleep(0.001)
        tasks[-1].cancel()
        await asyncio.sleep(0)
        assert len(searches) == threads  # no more at the same time
        released.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[-1], asyncio.CancelledError)

    monkeypatch.setenv("WAVRAG_THREADS", "2")
    with WavRAG(rag.kb, rag.generator) as limited:
        monkeypatch.setattr(limited, "search", search)
        asyncio.run(fill(limited, 2))
    assert sorted(searches) == ["0", "1", "2"]


def test_opening_and_closing_on_an_event_loop(tmp_path: Path) -> None:
    async def use() -> WavRAG:
        async with await WavRAG.aopen(tmp_path / "kb", embedder="fake") as rag:
            await asyncio.to_thread(rag.add, Document("bees", text=TEXTS[0]))
            assert len(await rag.asearch("bees")) == 1
        return rag

    rag = asyncio.run(use())

    async def search() -> None:
        await rag.asearch("bees")

    with pytest.raises(InputError, match="closed: open the knowledge base again"):
        asyncio.run(search())


def test_closing_waits_for_calls_in_progress(rag: WavRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    started, released = threading.Event(), threading.Event()

    def search(*_: object) -> list[str]:
        started.set()
        assert released.wait(SECONDS)
        return ["bees"]

    monkeypatch.setattr(rag, "search", search)

    async def close() -> None:
        call = asyncio.create_task(rag.asearch("bees"))
        while not started.is_set():
            await asyncio.sleep(0.001)
        closing = asyncio.create_task(rag.aclose())
        await asyncio.sleep(0.01)
        assert not closing.done()
        released.set()
        assert await call == ["bees"]
        await closing

    asyncio.run(close())


def test_a_knowledge_base_opened_for_a_cancelled_task_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, released, closed = (threading.Event() for _ in range(3))

    class Recorded(WavRAG):
        @classmethod
        def open(cls, *arguments: object, **options: object) -> "Recorded":
            opening.set()
            assert released.wait(SECONDS)
            return super().open(tmp_path / "kb", embedder=FakeEmbedder())

        def close(self) -> None:
            super().close()
            closed.set()

    async def cancel() -> None:
        task = asyncio.create_task(Recorded.aopen())
        while not opening.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        released.set()

    asyncio.run(cancel())
    assert closed.wait(SECONDS)


def test_an_object_serves_threads_and_event_loops_at_the_same_time(rag: WavRAG) -> None:
    expected = [hit.passage.id for hit in rag.search("bees")]

    def run_loop(number: int) -> None:
        async def search() -> None:
            calls = [rag.asearch("bees") for _ in range(4)]
            for hits in await asyncio.gather(*calls):
                assert {hit.passage.id for hit in hits} >= set(expected)
            rag.add(Document(f"note {number}", text=f"Note {number} says hello."))
            assert (await rag.aask("why do bees dance")).found

        asyncio.run(search())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run_loop, range(4)))
    assert len(rag.documents()) == 2 + 4


def test_calls_see_the_context_variables_of_their_task(
    rag: WavRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    monkeypatch.setattr(rag, "search", lambda *_: request.get())

    async def search(name: str) -> object:
        request.set(name)
        return await rag.asearch("bees")

    async def both() -> list[object]:
        return await asyncio.gather(search("a"), search("b"))

    assert asyncio.run(both()) == ["a", "b"]


def test_documents_are_removed_by_id_and_path(rag: WavRAG, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "notes" / name).write_text(f"Notes of {name}.")
    rag.add(tmp_path / "notes")
    with pytest.raises(InputError, match="typo is not in the knowledge base"):
        rag.remove("dance", "typo")
    assert len(rag.documents()) == 4
    removal = rag.remove("dance", tmp_path / "notes", tmp_path / "notes" / "a.txt")
    assert [document.id for document in rag.documents()] == ["ferry"]
    assert (len(removal.removed), removal.kept, removal.passages) == (3, [], 3)
    with pytest.raises(InputError, match="text without times"):
        rag.transcript("ferry")
