"""The recipe of WavRetriever at a size that runs in seconds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from audio_files import tone, write
from test_train_synth import Whistle
from test_train_texts import collected
from wavrag import audio
from wavrag.cli import main
from wavrag.data.captions import CLASSES, held_out_captions, training_captions
from wavrag.embed import ENCODER_FILE, LETTERS_FILE
from wavrag.embed.moonshine import Moonshine
from wavrag.errors import InputError
from wavrag.evaluate import evaluate_embedder
from wavrag.train.mini import recipe
from wavrag.train.mini.convert import load_letters, read_sound_head
from wavrag.train.mini.ctc import CTCOptions, SpeechHead
from wavrag.train.mini.export import LettersNetwork, SoundNetwork, export_network, measure_parity
from wavrag.train.mini.moonshine import WIDTH, Encoder, frames_of, load_encoder
from wavrag.train.mini.recipe import MiniOptions, build_word_list
from wavrag.train.mini.recordings import list_utterances, load_noises, read_clips
from wavrag.train.mini.sounds import POOLED, PooledSounds, SoundHead, SoundOptions, train_sounds
from wavrag.types import Clip, Float32

RATE = 16_000


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Two modules of tests run at a time, and threads of torch wait for each other by spinning."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVRAG_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder()


@pytest.fixture(scope="module")
def reading(human_reading: Path) -> Float32:
    return audio.load(human_reading, RATE, 5.0, 9.0).samples


def cosine(a: Any, b: Any) -> Any:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_the_encoder_computes_what_the_recogniser_does(encoder: Encoder, reading: Float32) -> None:
    states = Moonshine().frames(Clip(reading, RATE))
    with torch.inference_mode():
        [floats] = encoder(torch.from_numpy(reading)[None]).numpy()
    assert floats.shape == states.shape == (int(frames_of(len(reading))), WIDTH)
    # The recogniser has 8-bit activations.
    assert np.median(cosine(floats, states)) > 0.999
    assert cosine(floats, states).min() > 0.97


def test_a_batch_is_as_one_by_one(encoder: Encoder, reading: Float32) -> None:
    short = reading[:RATE]
    padded = torch.zeros(2, len(reading))
    padded[0], padded[1, : len(short)] = torch.from_numpy(reading), torch.from_numpy(short)
    lengths = torch.tensor([len(reading), len(short)])
    with torch.inference_mode():
        both = encoder(padded, lengths)
        alone = encoder(torch.from_numpy(short)[None])
    assert np.abs((both[1, : alone.shape[1]] - alone[0]).numpy()).max() < 1e-3


def test_sounds_go_to_their_captions() -> None:
    rng = np.random.default_rng(0)
    labels = tuple(sorted(CLASSES))[:6]
    captions = sorted({c for label in labels for c in training_captions(label)})
    vectors = {c: rng.standard_normal(384).astype(np.float32) for c in captions}
    for label in labels:  # captions of a label are alike
        for caption in training_captions(label):
            vectors[caption] = vectors[training_captions(label)[0]] + 0.1 * vectors[caption]
    centres = rng.standard_normal((6, POOLED)).astype(np.float32)
    noise = rng.standard_normal((120, POOLED)).astype(np.float32)
    pooled = np.repeat(centres, 20, 0) + 0.5 * noise
    sounds = PooledSounds(pooled, tuple(label for label in labels for _ in range(20)), ("",) * 120)

    def embed(texts: Any) -> Float32:
        rows = np.stack([vectors[text] for text in texts])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    head = SoundHead()
    train_sounds(head, sounds, embed, SoundOptions(steps=60, batch=32), lambda line: None)
    with torch.inference_mode():
        found = (
            head(torch.from_numpy(centres)).numpy()
            @ embed([training_captions(x)[0] for x in labels]).T
        )
    assert found.argmax(1).tolist() == list(range(6))


def test_captions_held_out_are_not_trained_on() -> None:
    for label in CLASSES:
        trained = set(training_captions(label))
        assert trained
        assert held_out_captions(label)
        assert not trained & set(held_out_captions(label))


@dataclass
class Export:
    """Two networks, the folder of their files, and the sizes of these."""

    letters: LettersNetwork
    sound: SoundNetwork
    folder: Path
    sizes: dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def exported(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Export:
    torch.manual_seed(0)
    letters, sound = LettersNetwork(encoder, SpeechHead()), SoundNetwork(encoder, SoundHead())
    folder = tmp_path_factory.mktemp("exported")
    sizes = {
        name: export_network(network, folder / name)
        for network, name in ((letters, LETTERS_FILE), (sound, ENCODER_FILE))
    }
    return Export(letters, sound, folder, sizes)


def test_the_exported_models_are_the_trained_ones(
    encoder: Encoder, exported: Export, reading: Float32
) -> None:
    letters, sound = exported.letters, exported.sound
    samples = torch.from_numpy(reading)[None]
    with torch.inference_mode():
        stem = encoder.stem(samples)
        assert torch.allclose(letters.stem(samples), stem, atol=1e-3), "unfolded"
        frames = encoder(samples)
        posteriors = letters.speech(frames).log_softmax(-1)[0]
        assert torch.allclose(letters(samples)[0], posteriors, atol=1e-2)
        assert torch.allclose(sound.eval()(samples)[0], frames[0], atol=1e-2)
    for sizes in exported.sizes.values():
        assert sizes["bytes"] < sizes["float_bytes"] / 3
    clips = [reading, reading[: RATE // 10], tone(440, 1.0, RATE)]
    agreement = measure_parity(letters, sound, exported.folder, clips)
    assert agreement["letters_kl"] < 0.02
    assert agreement["frame_error"] < 0.2
    assert agreement["sound_cosine"] > 0.97


def test_the_word_list_keeps_what_is_said_often_or_long() -> None:
    said = ["the cat sat", "the cat", "lothario at 1973", "in 1973 to 1973 and 1973 or 1973 x"]
    lines = dict(line.split() for line in build_word_list(said).splitlines())
    assert lines == {"1973": "5", "cat": "2", "the": "2", "lothario": "1"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A little of everything that the recipe reads."""
    folder = collected(tmp_path / "data with späces")
    for name in ("speech", "sounds"):
        (folder / name).mkdir(exist_ok=True)
    for number in range(3):
        write(folder / f"speech/{number}.wav", tone(200 + 90 * number, 1.2, RATE)[None], RATE)
    spoken = [
        {
            "text": f"text {n}", "audio": f"speech/{n}.wav", "speaker": str(n),
            "split": "train" if n < 2 else "test",
        }
        for n in range(3)
    ]  # fmt: skip
    sounds = [
        {"audio": f"speech/{n}.wav", "label": label, "fold": fold, "file": "clip one"}
        for n, label, fold in ((0, "rain", 1), (1, "rooster", 2), (2, "rain", 5))
    ]
    files = {
        "speech/speechocean762": spoken,
        "speech/kokoro_train": [
            {"text": "Who hears this question", "audio": "speech/0.wav", "voice": "af_heart"},
            *(
                {
                    "text": f"cut {n}",
                    "audio": "speech/2.wav",
                    "voice": "af_heart",
                    "start": n * 0.6,
                    "end": (n + 1) * 0.6,
                    "agree": agree,
                }
                for n, agree in ((0, None), (1, 0.9), (1, 0.7))
            ),
        ],
        "sounds/esc10": sounds,
        "sounds/kitchen20": [],
        "sounds/cdda": [],
        "sounds/moodist": sounds[:1],
    }
    for name, rows in files.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines)
    return folder


def test_utterances_are_cut_from_their_recordings(data: Path) -> None:
    utterances = list_utterances(data, "kokoro_train")
    # An evaluation text and a transcript that two recognisers disagree about are left out.
    assert [item.text for item in utterances] == ["cut 0", "cut 1"]
    recording = audio.load(data / "speech/2.wav").samples
    cuts = [samples for _, samples in read_clips(utterances)]
    assert np.array_equal(np.concatenate(cuts), recording)
    assert [len(samples) for samples in cuts] == [9_600, 9_600]
    (data / "speech/2.wav").write_bytes(b"broken")
    whole = list_utterances(data, "speechocean762")
    assert [item.speaker for item in whole] == ["0", "1"], "the other split is for evaluation"
    read = [item.audio.name for item, _ in read_clips([*utterances, *whole])]
    assert read == ["0.wav", "1.wav"]
    assert len(load_noises(data)) == 1


def test_the_whole_recipe_runs_and_is_resumed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "load_speaker", lambda name, kokoro: Siren())
    task = tmp_path / "task"
    (task / "qrels").mkdir(parents=True)
    wav = str(data / "speech/0.wav")
    (task / "corpus.jsonl").write_text(json.dumps({"_id": "a", "text": "tone"}))
    (task / "queries.jsonl").write_text(json.dumps({"_id": "q", "audio": wav}))
    (task / "qrels/test.tsv").write_text("q\td\ts\nq\ta\t1\n")
    options = MiniOptions(
        data, tmp_path / "work", {"siren": 5}, tasks=(task,),
        speech=CTCOptions(epochs=1, batch=6.0), sounds=SoundOptions(steps=3, batch=4),
    )  # fmt: skip
    log: list[dict[str, object]] = []
    recipe.train_mini(options, log.append, lambda stage, done, total: None, evaluate)
    model = tmp_path / "work" / "model"
    assert {path.name for path in model.iterdir()} >= {LETTERS_FILE, ENCODER_FILE, "lexicon.txt"}
    for stage in recipe.STAGES:
        record = json.loads((tmp_path / "work" / f"{stage}.json").read_text())
        assert record["options"]["seed"] == 0
        assert record["seconds"] >= 0
    assert record["result"]["task"]["fused"]["recall@1"] in (0, 1)

    log.clear()
    recipe.train_mini(options, log.append, lambda stage, done, total: None, evaluate)
    assert [line["already"] for line in log] == ["done"] * len(recipe.STAGES)

    hours = json.loads((tmp_path / "work" / "decode.json").read_text())["result"]["hours"]
    assert set(hours) == {"speechocean762", "kokoro_train"}, "sets that are there"

    # The letters that were written are a start for further training.
    letters = tmp_path / "work" / "speech.safetensors"
    start = letters.rename(tmp_path / "start.safetensors")
    for name in ("speech.json", "speech.pt"):
        (tmp_path / "work" / name).unlink()
    slow = replace(options.speech, rates=(0.0, 0.0, 1e-9))
    again = replace(options, start=start, speech=slow)
    recipe.train_mini(again, log.append, lambda stage, done, total: None, evaluate)
    before, after = load_file(start), load_file(letters)
    for name, value in before.items():
        same = torch.equal if name.startswith("encoder.") else partial(torch.allclose, atol=1e-3)
        assert same(value, after[name]), name


def evaluate(task: Any, embedder: Any) -> dict[str, dict[str, float]]:
    systems = evaluate_embedder(task, embedder)
    return {system.legs: dict(system.metrics) for system in systems}


class Siren(Whistle):
    """Tones long enough to be trained on."""

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Any:
        clip = super().speak(text, voice, rng)
        return type(clip)(np.tile(clip.samples, 80), clip.sample_rate, clip.source)


def test_a_missing_data_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data"):
        recipe.train_mini(MiniOptions(tmp_path / "no", tmp_path), print, lambda *_: None)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--weight", "flite", "SET=WEIGHT"),
        ("--weight", "flite=-1", "SET=WEIGHT"),
        ("--engine", "flite", "NAME:CLIPS"),
    ],
)
def test_values_that_cannot_be_read_are_named(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["train", "mini", "--data", str(tmp_path), "--work", str(tmp_path / "work")]
    assert main([*command, option, value]) == 1
    assert message in capsys.readouterr().err


def test_options_reach_the_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[MiniOptions] = []
    monkeypatch.setattr("wavrag.train.mini.train_mini", lambda options, *_: runs.append(options))
    command = ["train", "mini", "--data", "d", "--work", "w", "--engine"]
    assert main([*command, "none", "--rates", "0", "2e-4", "1e-3", "--weight", "a=.5"]) == 0
    assert main([*command, "flite:20", "--minutes", "7.5", "--batch", "60", "--seed", "3"]) == 0
    first, second = runs
    assert (first.engines, first.weights) == ({}, {"a": 0.5})
    assert first.speech == CTCOptions(rates=(0.0, 2e-4, 1e-3))
    assert second.engines == {"flite": 20}
    assert second.speech == CTCOptions(minutes=7.5, batch=60.0, seed=3)
    assert second.sounds.seed == 3


def test_trained_letters_are_read_with_their_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained, head = Encoder(), SpeechHead()
    state = {f"encoder.{name}": value.half() for name, value in trained.state_dict().items()}
    state |= {f"head.{name}": value.half() for name, value in head.state_dict().items()}
    save_file(state, tmp_path / "letters.safetensors")
    encoder, loaded = load_letters(tmp_path / "letters.safetensors")
    for ours, theirs in ((encoder, trained), (loaded, head)):
        for name, value in ours.state_dict().items():
            assert torch.allclose(value, theirs.state_dict()[name], atol=1e-3), name


def test_the_sound_head_survives_another_export(
    encoder: Encoder, exported: Export, reading: Float32, tmp_path: Path
) -> None:
    first, second = exported.folder / ENCODER_FILE, tmp_path / "second.onnx"
    export_network(SoundNetwork(encoder, read_sound_head(first)), second)
    vectors = []
    for path in (first, second):
        session = onnxruntime.InferenceSession(str(path))
        vectors += session.run(["sound"], {"samples": reading[None]})
    np.testing.assert_allclose(*vectors, atol=1e-5)


def test_a_file_without_letters_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing"):
        load_letters(tmp_path / "no.safetensors")
    save_file({"encoder.norm.weight": torch.ones(WIDTH)}, tmp_path / "part.safetensors")
    (tmp_path / "other.safetensors").write_bytes(b"another format")
    for name in ("part", "other"):
        with pytest.raises(InputError, match="no encoder with letters"):
            load_letters(tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match=r"encoder\.onnx"):
        read_sound_head(tmp_path / "no.onnx")
