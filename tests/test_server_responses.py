"""`/v1/responses` with the official OpenAI client."""

import base64
from collections.abc import Iterator, Sequence

import openai
import pytest

from audio_files import tone
from serving import FERRY, create_rag, serving
from wavrag import Clip
from wavrag.embed.remote import wav_bytes
from wavrag.generate import FakeGenerator, GenerateOptions, Message, render

QUESTION = "When does the ferry leave?"
ANSWER = "The ferry leaves at nine in the morning. [1]"
SEARCH = {"type": "file_search", "vector_store_ids": ["default"]}


class RecordingGenerator(FakeGenerator):
    """A fake that keeps the system message and the history of its last prompt."""

    prompt: Sequence[str] = ()

    def stream(self, messages: Sequence[Message], options: GenerateOptions):  # type: ignore[no-untyped-def]
        self.prompt = [render(message.parts) for message in messages[:-1]]
        return super().stream(messages, options)


@pytest.fixture(scope="module")
def generator() -> RecordingGenerator:
    return RecordingGenerator()


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, generator: RecordingGenerator
) -> Iterator[openai.OpenAI]:
    with (
        create_rag(tmp_path_factory.mktemp("rag"), generator) as rag,
        serving(rag) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as opened,
    ):
        yield opened


def test_an_answer_has_file_citations(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="wavrag",
        input=QUESTION,
        tools=[SEARCH],
        include=["file_search_call.results"],  # type: ignore[list-item]
    )
    assert (response.status, response.output_text) == ("completed", ANSWER)
    search, message = response.output
    assert search.type == "file_search_call"
    assert search.queries == [QUESTION]
    assert (search.results or [])[0].text == FERRY.strip()
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    (citation,) = part.annotations
    assert citation.type == "file_citation"
    assert (citation.filename, citation.index) == ("ferry.txt", ANSWER.index("[1]"))
    assert citation.model_extra is not None
    assert citation.model_extra["quote"] == "The ferry leaves at nine in the morning."
    content = client.vector_stores.files.content(citation.file_id, vector_store_id="default")
    assert content.data[0].text == FERRY.strip()
    assert response.usage is not None
    assert response.usage.output_tokens == 9
    assert response.model_extra["wavrag"]["found"]  # type: ignore[index]


def test_the_events_of_a_stream(client: openai.OpenAI) -> None:
    with client.responses.stream(model="wavrag", input=QUESTION) as stream:
        events = list(stream)
        final = stream.get_final_response()
    names = [event.type.removeprefix("response.") for event in events]
    assert names == [
        "created",
        "in_progress",
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * 9,
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text == ANSWER
    assert final.output[0].type == "file_search_call"
    assert final.output[0].results is None


def test_earlier_turns_and_instructions(
    client: openai.OpenAI, generator: RecordingGenerator
) -> None:
    first = client.responses.create(model="wavrag", input=QUESTION)
    turns = [{"role": "user", "content": QUESTION}, *first.output]
    response = client.responses.create(
        model="wavrag",
        instructions="Answer like a pirate.",
        input=[
            {"role": "developer", "content": "Be brief."},
            *turns,  # type: ignore[list-item]
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "And does it carry dogs?"}],
            },
        ],
    )
    extension = response.model_extra["wavrag"]  # type: ignore[index]
    assert extension["question"] == "And does it carry dogs?"
    assert "ferry" in extension["search_query"]
    system, question, answer = generator.prompt
    assert system.endswith("\n\nAnswer like a pirate.\n\nBe brief.")
    assert (question, answer) == (f"Question: {QUESTION}", ANSWER.removesuffix(" [1]"))


def test_a_spoken_question_and_a_filter(client: openai.OpenAI) -> None:
    data = base64.b64encode(wav_bytes(Clip(tone(440, 0.5, 16_000), 16_000))).decode()
    audio = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    filters = {"type": "eq", "key": "title", "value": "Bees"}
    response = client.responses.create(
        model="wavrag",
        input=[{"role": "user", "content": [audio]}],  # type: ignore[list-item, misc]
        tools=[{**SEARCH, "filters": filters}],  # type: ignore[list-item]
    )
    hits = response.model_extra["wavrag"]["hits"]  # type: ignore[index]
    assert {hit["title"] for hit in hits} == {"Bees"}


def test_rejections(client: openai.OpenAI) -> None:
    create = client.responses.create
    with pytest.raises(openai.BadRequestError, match="send the earlier messages in input"):
        create(model="wavrag", input="hello", previous_response_id="resp_1")
    with pytest.raises(openai.NotFoundError, match="there is no vector store other"):
        create(
            model="wavrag",
            input="hello",
            tools=[{"type": "file_search", "vector_store_ids": ["other"]}],
        )
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        create(model="gpt-9", input="hello")
    with pytest.raises(openai.BadRequestError, match="end with the user's"):
        create(model="wavrag", input=[{"role": "assistant", "content": "hello"}])
    for item in (3, {"type": "image"}):
        with pytest.raises(openai.UnprocessableEntityError, match=r"body\.input"):
            create(model="wavrag", input=[item])  # type: ignore[list-item]
