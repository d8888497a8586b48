"""What a model that hears is given: the choice alone, and what a server gets to hear."""

from __future__ import annotations

import base64
import importlib.util
import io
import threading
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_files import tone
from scripted_server import Refuses, Says, Scripted, serving
from wavrag.answer.reasoning import ReasoningOptions, reason
from wavrag.audio import wav_bytes, write_wav
from wavrag.errors import AudioError, GenerationError, InputError
from wavrag.generate import (
    FakeGenerator,
    GenerateOptions,
    Message,
    QuestionPart,
    answer_messages,
    list_sources,
    load_generator,
    render,
)
from wavrag.generate.audio_input import (
    MODEL_BUDGETS,
    AudioBudget,
    find_audio_budget,
    fit_audio,
    prepare_clip,
    prepared_seconds,
    render_with_audio,
)
from wavrag.generate.base import SourcePart, Stream, TextPart
from wavrag.generate.extractive import ExtractiveGenerator
from wavrag.generate.map_reduce import MapReduceGenerator
from wavrag.generate.openai import OpenAIGenerator
from wavrag.rag import WavRAG
from wavrag.testing.generator import QUESTION, GeneratorConformance
from wavrag.types import Clip, Document, Hit, Passage, Query

needs_openai = pytest.mark.skipif(
    importlib.util.find_spec("openai") is None, reason="needs the extra wavrag[openai]"
)


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that fails is not repeated."""
    monkeypatch.setattr("wavrag.generate.openai.RETRIES", 0)


ANSWER = Says("The ferry leaves at nine [1].")
CHOICE = Says("The most consistent response is Response 1")
RATE = 16_000


def silent(seconds: float, rate: int = 100) -> Clip:
    return Clip(np.zeros(round(seconds * rate), np.float32), rate)


def sounding(hertz: float = 440, seconds: float = 1.0, rate: int = RATE) -> Clip:
    return Clip(tone(hertz, seconds, rate), rate)


def recording(words: str | None, ordinal: int = 0, **metadata: str) -> Passage:
    return Passage(
        "notes.wav", ordinal, words, 12.0, 19.5, title="harbour notes", metadata=metadata
    )


def asked(
    question: QuestionPart, *sources: tuple[Passage, Clip | None], last_first: bool = False
) -> list[Message]:
    hits = [Hit(passage, rank, 1.0 / rank, {}) for rank, (passage, _) in enumerate(sources, 1)]
    messages = answer_messages(question, hits, [clip for _, clip in sources])
    if not last_first:
        return messages
    system, user = messages
    return [system, Message("user", tuple(reversed(user.parts)))]


# What fits


def test_a_clip_that_fits_is_heard_and_one_that_does_not_is_read() -> None:
    messages = asked(
        QuestionPart("When?", silent(3)),
        (recording("The ferry leaves at nine."), silent(10)),
        (recording("The museum opens at ten."), silent(31)),  # longer than a clip may be
        (recording(None, facts="?"), silent(31)),
        (Passage("t.md", 0, "A text."), None),
    )
    given = fit_audio(messages, AudioBudget())
    assert given.question_form == "sound"
    assert given.source_forms == {1: "sound", 2: "words", 3: "nothing", 4: "words"}
    assert (given.seconds, given.tokens) == (13.0, 325)  # 3 + 10 s, 25 tokens each
    heard = {part.number: part.clip is not None for part in list_sources(given.messages)}
    assert heard == {1: True, 2: False, 3: False, 4: False}


def test_the_question_comes_first_and_then_the_rank_wherever_they_stand() -> None:
    options = AudioBudget(max_seconds=25.0)
    sources = [(recording(f"words {number}"), silent(10)) for number in range(3)]
    for last_first in (False, True):
        messages = asked(QuestionPart(None, silent(10)), *sources, last_first=last_first)
        given = fit_audio(messages, options)
        assert given.question_form == "sound"
        assert given.source_forms == {1: "sound", 2: "words", 3: "words"}


@pytest.mark.parametrize(
    ("options", "heard"),
    [
        (AudioBudget(max_tokens=500), 2),  # of 250 tokens each
        (AudioBudget(max_tokens=499), 1),
        (AudioBudget(max_clips=1), 1),
        (AudioBudget(tokens_per_second=12.5, padded_seconds=30.0, max_tokens=1124), 2),  # 375
        (AudioBudget(max_seconds=30.0), 3),
    ],
)
def test_every_budget_counts(options: AudioBudget, heard: int) -> None:
    sources = [(recording("words"), silent(10)) for _ in range(3)]
    given = fit_audio(asked(QuestionPart("When?"), *sources), options)
    assert list(given.source_forms.values()).count("sound") == heard


def test_a_recording_without_words_goes_in_with_its_caption() -> None:
    captioned = recording(None, caption="rain on a [1] roof")
    for options in (None, AudioBudget(max_seconds=1.0)):
        messages = asked(QuestionPart("What is it?"), (captioned, silent(10)))
        given = fit_audio(messages, options)
        assert given.source_forms == {1: "caption"}
        assert "caption: rain on a (1) roof" in render(given.messages[-1].parts)
    assert fit_audio(messages, AudioBudget()).source_forms == {1: "sound"}
    spoken = recording("The words.", caption="rain")
    assert fit_audio(asked(QuestionPart("?"), (spoken, None)), None).source_forms == {1: "words"}
    text = Passage("t.md", 0, None, metadata={"caption": "no"})
    assert fit_audio(asked(QuestionPart("?"), (text, None)), None).source_forms == {1: "nothing"}


def test_a_generator_that_reads_is_given_words() -> None:
    messages = asked(
        QuestionPart(None, silent(1)), (recording("words"), silent(1)), (recording(None), None)
    )
    given = fit_audio(messages, None)
    assert given.source_forms == {1: "words", 2: "nothing"}
    assert given.question_form == "nothing"  # which `render` refuses
    assert (given.seconds, given.tokens) == (0.0, 0)
    assert given.messages[-1].parts[0] is messages[-1].parts[0]


def test_a_question_that_fits_not_is_read_or_refused() -> None:
    given = fit_audio(asked(QuestionPart("When?", silent(40))), AudioBudget())
    assert given.question_form == "words"
    with pytest.raises(GenerationError, match=r"40\.0 s without words.*up to 30 s a clip"):
        fit_audio(asked(QuestionPart(None, silent(40))), AudioBudget())


def test_words_that_were_recognised_are_left_out_beside_the_sound() -> None:
    clip = silent(2)
    messages = asked(QuestionPart("who is this? hoo iss this", clip))
    for typed, words in (("who is this?", "Question: who is this?"), (None, "Question:")):
        given = fit_audio(messages, AudioBudget(), Query(typed, clip))
        texts = [
            part for part in render_with_audio(given.messages[-1].parts) if isinstance(part, str)
        ]
        assert texts[-1].endswith(words)
    unheard = fit_audio(messages, AudioBudget(max_seconds=1.0), Query(None, clip))
    (words_only,) = render_with_audio(unheard.messages[-1].parts)
    assert isinstance(words_only, str)
    assert words_only.endswith("hoo iss this")


def test_earlier_questions_are_heard_after_the_last() -> None:
    earlier = Message("user", (QuestionPart("first", silent(10)),))
    messages = [earlier, Message("assistant", (TextPart("Yes."),)), *asked(
        QuestionPart("last", silent(9)), (recording("words"), silent(7))
    )]  # fmt: skip
    given = fit_audio(messages, AudioBudget(max_seconds=18.0))
    assert given.question_form == "sound"
    assert given.source_forms == {
        1: "sound"
    }  # 9 + 7 s; the 10 s of the earlier question find no room
    first = given.messages[0].parts[0]
    assert isinstance(first, QuestionPart)
    assert first.clip is None


lengths = st.integers(1, 4_000)  # samples at 100 Hz: up to 40 s


@given(
    question=st.one_of(st.none(), lengths),
    sources=st.lists(st.tuples(lengths, st.booleans()), max_size=7),
    options=st.builds(
        AudioBudget,
        max_clip_seconds=st.floats(0.1, 40),
        max_seconds=st.floats(0.1, 200),
        max_tokens=st.integers(1, 3_000),
        tokens_per_second=st.floats(0.5, 50),
        padded_seconds=st.sampled_from([0.0, 30.0]),
        max_clips=st.integers(1, 9),
    ),
    last_first=st.booleans(),
)
def test_never_more_than_allowed_and_nothing_cut(
    question: int | None, sources: list[tuple[int, bool]], options: AudioBudget, last_first: bool
) -> None:
    clip = None if question is None else silent(question / 100)
    found = [
        (recording("words" if words else None, at), silent(length / 100))
        for at, (length, words) in enumerate(sources)
    ]
    messages = asked(QuestionPart("When?", clip), *found, last_first=last_first)
    given = fit_audio(messages, options)
    parts = [part for message in given.messages for part in message.parts]
    heard = {
        part.number: part.clip
        for part in parts
        if isinstance(part, SourcePart) and part.clip is not None
    }
    clips = list(heard.values())
    asks = [part for part in parts if isinstance(part, QuestionPart)]
    clips += [part.clip for part in asks if part.clip is not None]
    seconds = [prepared_seconds(one) for one in clips]
    assert len(clips) <= options.max_clips
    assert all(one <= options.max_clip_seconds for one in seconds)
    assert sum(seconds) <= options.max_seconds + 1e-9
    assert given.seconds == pytest.approx(sum(seconds))
    assert given.tokens == sum(map(options.tokens, seconds)) <= options.max_tokens
    # Nothing is cut: what is heard are the clips themselves, and all else keeps its words.
    assert all(heard[number] is found[number - 1][1] for number in heard)
    for number, mode in given.source_forms.items():
        words = sources[number - 1][1]
        assert mode == ("sound" if number in heard else "words" if words else "nothing")
    # The question has the first claim, and a source gives way only where it does not fit.
    if clip is not None:
        alone = fit_audio(asked(QuestionPart("When?", clip)), options)
        assert given.question_form == alone.question_form
    before = [clip] if given.question_form == "sound" and clip is not None else []
    for number, (_, sound) in enumerate(found, start=1):
        spent = [prepared_seconds(one) for one in before]
        longer = prepared_seconds(sound)
        fits = (
            longer <= options.max_clip_seconds
            and sum(spent) + longer <= options.max_seconds
            and sum(map(options.tokens, [*spent, longer])) <= options.max_tokens
            and len(before) < options.max_clips
        )
        assert fits == (number in heard)
        before += [sound] if fits else []
    again = fit_audio(given.messages, options)
    assert (again.source_forms, again.question_form) == (given.source_forms, given.question_form)


def test_budgets_that_allow_nothing_are_refused() -> None:
    for wrong in ({"max_seconds": 0.0}, {"max_clips": 0}, {"max_tokens": 0}):
        with pytest.raises(InputError, match="AudioBudget"):
            AudioBudget(**wrong)  # type: ignore[arg-type]


# Who hears


def test_models_that_are_known_to_hear() -> None:
    assert find_audio_budget("gpt-4o-audio-preview") is MODEL_BUDGETS["gpt-4o-audio*"]
    assert find_audio_budget("gpt-audio-1.5") is MODEL_BUDGETS["gpt-audio*"]
    assert find_audio_budget("Qwen/Qwen2-Audio-7B-Instruct") is MODEL_BUDGETS["qwen2-audio*"]
    assert find_audio_budget("Qwen/Qwen2.5-Omni-7B") is MODEL_BUDGETS["qwen2.5-omni*"]
    assert find_audio_budget("qwen3.5-omni-plus") is MODEL_BUDGETS["qwen3*-omni*"]
    for reads in ("gpt-4o", "gpt-4o-mini", "qwen3-30b", "my-gpt-audio", "omni"):
        assert find_audio_budget(reads) is None
    for budget in MODEL_BUDGETS.values():  # a clip as long as is allowed has room among all
        assert budget.max_clip_seconds <= budget.max_seconds
        assert budget.tokens(budget.max_seconds) <= budget.max_tokens


def test_the_page_has_the_table_of_budgets() -> None:
    page = (Path(__file__).parent.parent / "docs" / "hearing.md").read_text("utf-8")
    for name, one in [
        *((f"`{key}`", one) for key, one in MODEL_BUDGETS.items()),
        ("others", AudioBudget()),
    ]:
        cells = (
            one.max_clip_seconds,
            one.max_seconds,
            one.max_tokens,
            one.tokens_per_second,
            one.padded_seconds,
            one.max_clips,
        )
        assert f"| {name} | {' | '.join(f'{cell:g}' for cell in cells)} |\n" in page


@needs_openai
def test_a_spec_says_whether_a_model_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    for spec, heard in (
        ("openai:gpt-4o-mini", None),
        ("openai:gpt-4o-mini+audio", AudioBudget()),
        ("openai:gpt-audio", MODEL_BUDGETS["gpt-audio*"]),
        ("openai:gpt-audio+audio", MODEL_BUDGETS["gpt-audio*"]),
        ("openai:gpt-audio+text", None),
    ):
        generator = load_generator(spec)
        assert generator.spec.name == spec
        assert generator.spec.audio_budget == heard
        assert ("audio" in generator.spec.modalities) == (heard is not None)
    with pytest.raises(GenerationError, match="lacks the name of a model"):
        load_generator("openai:+audio")
    own = AudioBudget(max_clips=1)
    assert OpenAIGenerator("m", audio_budget=own).spec.audio_budget is own
    assert MapReduceGenerator(OpenAIGenerator("m", audio_budget=own)).spec.audio_budget is own


def test_the_fake_hears_and_the_extractive_generator_does_not() -> None:
    assert FakeGenerator().spec.audio_budget == AudioBudget()
    assert ExtractiveGenerator().spec.audio_budget is None


# Sound as it is sent


def test_short_and_slow_clips_are_made_fit_to_be_heard() -> None:
    short = prepare_clip(sounding(seconds=0.05))
    assert len(short.samples) == 3_200  # 0.2 s
    assert not short.samples[800:].any()
    slow = prepare_clip(sounding(seconds=1.0, rate=8_000))
    assert (slow.sample_rate, len(slow.samples)) == (RATE, RATE)
    assert np.abs(slow.samples - tone(440, 1.0, RATE))[1_000:-1_000].max() < 1e-3


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 44_100, 48_000])
def test_no_clip_is_heard_longer_than_the_budget_counts(rate: int) -> None:
    for samples in (rate // 3 + 1, rate * 2 - 1, rate * 2):
        clip = Clip(np.zeros(samples, np.float32), rate)
        assert prepare_clip(clip).duration <= prepared_seconds(clip)


@pytest.mark.parametrize(
    ("samples", "wrong"),
    [(np.zeros(0, np.float32), "0 samples"), (np.full(RATE, np.nan, np.float32), "NaN")],
)
def test_what_cannot_be_heard_is_an_error_that_names_it(samples: Any, wrong: str) -> None:
    broken = Clip(samples, RATE)
    as_question = asked(QuestionPart(None, broken))
    as_source = asked(QuestionPart("?"), (recording("words"), broken))
    for messages, name in ((as_question, "the question"), (as_source, r"source \[1\]")):
        given = fit_audio(messages, AudioBudget())
        with pytest.raises(AudioError, match=rf"{name}: has .*{wrong}"):
            render_with_audio(given.messages[-1].parts)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    with serving([ANSWER], CHOICE) as script:
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-this-test")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("OPENAI_BASE_URL", script.url)
        yield script


def heard_by(part: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Samples of an `input_audio` part, which must be 16-bit mono at 16 kHz."""
    assert part["type"] == "input_audio"
    assert part["input_audio"]["format"] == "wav"
    data = base64.b64decode(part["input_audio"]["data"], validate=True)
    with wave.open(io.BytesIO(data)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, RATE)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2") / 32_768


def say(generator: OpenAIGenerator, messages: Sequence[Message]) -> str:
    return "".join(generator.stream(messages, GenerateOptions()))


@needs_openai
class TestConformance(GeneratorConformance):
    """Of a model that is given sound."""

    empty_without_sources = False

    @pytest.fixture
    def messages(self) -> list[Message]:
        return asked(
            QuestionPart(QUESTION, sounding(300)),
            (recording("The ferry to the island leaves at nine."), sounding(500)),
            (recording(None, 1), sounding(700)),
        )

    @pytest.fixture
    def generator(self, server: Scripted) -> OpenAIGenerator:
        return OpenAIGenerator("m+audio")


@needs_openai
def test_each_sound_stands_after_the_line_that_names_it(server: Scripted) -> None:
    first, second, spoken = sounding(500, 1.5), sounding(900, 0.7), sounding(200, 1.1)
    messages = asked(
        QuestionPart(None, spoken),
        (recording("The ferry leaves at nine."), first),
        (Passage("t.md", 0, "The museum opens at ten.", title="Timetable"), None),
        (recording(None, 1), second),
    )
    assert say(OpenAIGenerator("m+audio"), messages) == ANSWER.text
    (request,) = server.requests
    assert request["modalities"] == ["text"]
    system, user = request["messages"]
    assert isinstance(system["content"], str)
    content = user["content"]
    sounds = [at for at, part in enumerate(content) if part["type"] == "input_audio"]
    texts = [part.get("text", "") for part in content]
    assert len(sounds) == 3
    by_label = {
        label: next(at for at, text in enumerate(texts) if text.split("\n\n")[-1].startswith(label))
        for label in ("[1]", "[3]", "Question:")
    }
    for label, clip in (("[1]", first), ("[3]", second), ("Question:", spoken)):
        heard = heard_by(content[by_label[label] + 1])
        assert len(heard) == len(clip.samples)
        assert np.abs(heard - clip.samples).max() <= 0.5 / 32_768
    named = texts[by_label["[1]"]].split("\n\n")[-1]
    assert "harbour notes" in named
    assert "0:12.0-0:19.5" in named
    assert "nine" not in " ".join(texts)  # heard, and not read
    assert "The museum opens at ten." in " ".join(texts)
    assert texts[by_label["Question:"]].split("\n\n")[-1] == "Question:"


@needs_openai
def test_what_does_not_fit_is_sent_in_words(server: Scripted) -> None:
    generator = OpenAIGenerator("m", AudioBudget(max_seconds=2.0))
    messages = asked(
        QuestionPart("When?", sounding(seconds=1.5)),
        (recording("The ferry leaves at nine."), sounding(seconds=1.0)),
    )
    say(generator, messages)
    content = server.requests[0]["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["text", "input_audio"]
    assert "The ferry leaves at nine." in content[0]["text"]
    assert content[0]["text"].endswith("Question: When?")


@needs_openai
@pytest.mark.parametrize(
    "clip",
    [
        sounding(seconds=0.8, rate=8_000),
        sounding(seconds=0.8, rate=48_000),
        Clip(np.zeros(12_800, np.float32), RATE),
        Clip(np.full(12_800, 3.0, np.float32), RATE),  # louder than full scale
        sounding(seconds=0.01),
    ],
)
def test_unusual_clips_arrive_whole(clip: Clip, server: Scripted) -> None:
    say(OpenAIGenerator("m+audio"), asked(QuestionPart(None, clip)))
    heard = heard_by(server.requests[0]["messages"][-1]["content"][-1])
    assert len(heard) / RATE == pytest.approx(max(clip.duration, 0.2), abs=1 / RATE)
    level = np.abs(clip.samples).max()
    assert np.abs(heard).max() == pytest.approx(min(level, 1.0), abs=2e-3)


@needs_openai
def test_without_sound_messages_are_plain_text(server: Scripted) -> None:
    say(OpenAIGenerator("m+audio"), asked(QuestionPart("When?")))
    say(OpenAIGenerator("gpt-audio+text"), asked(QuestionPart("When?", sounding())))
    for request in server.requests:
        assert all(isinstance(message["content"], str) for message in request["messages"])


@needs_openai
def test_alibabas_server_gets_a_data_uri(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/dashscope")
    say(OpenAIGenerator("m+audio"), asked(QuestionPart(None, sounding())))
    sent = server.requests[0]["messages"][-1]["content"][-1]["input_audio"]
    assert sent["data"] == "data:;base64," + base64.b64encode(wav_bytes(sounding())).decode()


@needs_openai
def test_a_server_that_refuses_sound_gets_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving([Refuses(400)], CHOICE) as script:
        monkeypatch.setenv("OPENAI_BASE_URL", script.url)
        with pytest.raises(GenerationError, match=r"status 400.*openai:m\+text is given words"):
            say(OpenAIGenerator("m+audio"), asked(QuestionPart(None, sounding())))


@needs_openai
def test_a_request_with_sound_is_cancelled_at_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving([Says("The ferry", then="hang")], CHOICE) as script:
        monkeypatch.setenv("OPENAI_BASE_URL", script.url)
        messages = asked(QuestionPart(None, sounding(seconds=5.0)))
        stream = Stream.of(OpenAIGenerator("m+audio").stream(messages, GenerateOptions()))
        assert next(stream) == "The"
        closing = threading.Thread(target=stream.close)
        closing.start()
        assert list(stream) in ([], [" ferry"])
        closing.join()
        assert script.gone.acquire(timeout=20)


@needs_openai
def test_paths_over_sound_share_their_prompt_and_the_choice_hears_the_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    paths = [Says("So.\nAnswer: At nine [1]."), Says("So.\nAnswer: At ten [1].")]
    with serving(paths, CHOICE) as script:
        monkeypatch.setenv("OPENAI_BASE_URL", script.url)
        messages = asked(QuestionPart(None, sounding()), (recording("words"), sounding(900)))
        reasoned = reason(
            OpenAIGenerator("m+audio"),
            messages,
            GenerateOptions(),
            ReasoningOptions(paths=2, adaptive=False),
        )
    assert reasoned.chosen_by == "choice"
    first, second = (body["messages"] for body in script.sampled())
    assert first == second
    (choice,) = script.choices()
    kinds = [part["type"] for part in choice["messages"][-1]["content"]]
    assert kinds == ["text", "input_audio", "text"]


@needs_openai
def test_a_spoken_question_over_recordings_is_heard_from_end_to_end(
    server: Scripted, tmp_path: Path
) -> None:
    write_wav(tmp_path / "notes.wav", sounding(440, 3.0))
    with WavRAG.open(tmp_path / "kb", embedder="fake", generator="openai:m+audio") as rag:
        rag.add(Document("notes", path=str(tmp_path / "notes.wav"), title="harbour notes"))
        answer = rag.ask(sounding(440, 1.0))
    assert answer.citations[0].passage.document_id == "notes"
    content = server.requests[0]["messages"][-1]["content"]
    heard = [heard_by(part) for part in content if part["type"] == "input_audio"]
    assert [round(len(samples) / RATE) for samples in heard] == [3, 1]
