from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from letter_frames import letter_frames
from wavrag.embed.lexicon import Lexicon
from wavrag.train.mini import reader as reader_module
from wavrag.train.mini.ctc import SpeechHead
from wavrag.train.mini.reader import (
    MAX_TOKENS,
    ReaderOptions,
    TranscriptPair,
    padded_tokens,
    train_reader,
    transcribe_clips,
)
from wavrag.train.mini.text_model import TrainableSentenceModel
from wavrag.types import Float32

DIM = 32
SAID = ("the cat", "a dog barks", "church bells", "an old bridge")
HEARD = ("da kat", "a dok parks", "cherch bels", "an olt britch")


def tiny() -> TrainableSentenceModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64, hidden_size=DIM, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=256,
    )  # fmt: skip
    return TrainableSentenceModel(BertModel(config, add_pooling_layer=False))


def letters(text: str) -> list[int]:
    return [1, *(ord(letter) % 62 + 2 for letter in text), 0]


def embed(texts: Sequence[str]) -> Float32:
    rows = np.stack(
        [np.random.default_rng(list(text.encode())).standard_normal(DIM) for text in texts]
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_it_learns_what_was_meant_by_what_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "RATE", 3e-3)
    monkeypatch.setattr(reader_module, "WARMUP", 5)
    monkeypatch.setattr(reader_module, "JOINED_SHARE", 0.0)
    reader, log = tiny(), list[dict[str, object]]()
    readings = [
        TranscriptPair(recognised, reference)
        for recognised, reference in zip(HEARD, SAID, strict=True)
    ]
    options = ReaderOptions(steps=150, batch=4)
    train_reader(reader, letters, readings, embed, options=options, log=log.append)
    ids, mask = padded_tokens([letters(text) for text in HEARD])
    with torch.inference_mode():
        found = reader(ids, mask).numpy() @ embed(SAID).T
    assert found.argmax(1).tolist() == [0, 1, 2, 3]
    assert found.diagonal().min() > 0.8
    assert log[-1]["step"] == 150


def test_padding_does_not_count() -> None:
    reader = tiny().eval()
    alone, both = padded_tokens([letters("cat")]), padded_tokens([letters("cat"), letters("x" * 9)])
    with torch.inference_mode():
        assert torch.allclose(reader(*alone)[0], reader(*both)[0], atol=1e-5)


def test_long_texts_are_cut_to_what_is_trained_on() -> None:
    ids, mask = padded_tokens([[5] * 500, [6]])
    assert ids.shape == mask.shape == (2, MAX_TOKENS)
    assert mask.sum(1).tolist() == [MAX_TOKENS, 1]


def test_clips_are_read_by_head_and_lexicon(tmp_path: Path) -> None:
    frames = letter_frames(tmp_path)
    lexicon = Lexicon(["go", "home"], np.log(np.array([0.5, 0.5], np.float32)))
    readings = transcribe_clips(SpeechHead(), frames, frames.examples[:5], lexicon, limit=90)
    assert sorted(r.reference for r in readings) == sorted(e.text for e in frames.examples[:5])


@pytest.mark.parametrize("joined", [0.0, 1.0])
def test_sentences_are_joined_as_often_as_asked(
    joined: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "JOINED_SHARE", joined)
    seen: list[str] = []

    def watch(texts: Sequence[str]) -> Float32:
        seen.extend(texts)
        return embed(texts)

    readings = [TranscriptPair("one", "one")]
    options = ReaderOptions(steps=3, batch=4)
    train_reader(tiny(), letters, readings, watch, options=options, log=lambda line: None)
    assert {len(text.split()) > 1 for text in seen} == {bool(joined)}
