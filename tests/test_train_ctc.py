"""CTC training of a small network on letters that are tones."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spoken_sets import RATE, TEXTS, write_set
from wavrag.audio import Augmentation
from wavrag.data import RESERVED_VOICES
from wavrag.errors import InputError, WavRAGError
from wavrag.train.mini import ctc, device_augmentation
from wavrag.train.mini import waveforms as waveforms_module
from wavrag.train.mini.ctc import (
    CTCNetwork,
    CTCOptions,
    CTCTrainer,
    MovingAverage,
    SpeechHead,
    draw_masks,
    error_rates,
)
from wavrag.train.mini.moonshine import Encoder
from wavrag.train.mini.waveforms import (
    HELD_OUT_VOICES,
    LONGEST_JOINED,
    PAUSE,
    Waveforms,
    is_held_out,
    make_batches,
)

CPU = torch.device("cpu")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
OPTIONS = CTCOptions(epochs=2, batch=8.0)


def small_network(seed: int = 0) -> CTCNetwork:
    torch.manual_seed(seed)
    network = CTCNetwork(Encoder(), SpeechHead())
    # Four encoder layers, so that lower and upper ones exist, and one new layer.
    network.encoder.layers = network.encoder.layers[:4]
    network.head.layers = network.head.layers[:1]
    return network


@pytest.fixture(scope="module")
def waveforms(tmp_path_factory: pytest.TempPathFactory) -> Waveforms:
    folder = tmp_path_factory.mktemp("speech")
    sets = [write_set(folder / "tones", 16), write_set(folder / "flite", 5, HELD_OUT_VOICES[0])]
    return Waveforms(sets, [], CPU)


def trainer(waveforms: Waveforms, path: Path, log: Any = None, **options: Any) -> CTCTrainer:
    seed = options.pop("network", 0)
    network = small_network(seed).to(waveforms.noises.speech.device)
    return CTCTrainer(
        network, waveforms, replace(OPTIONS, **options), checkpoint=path,
        log=log or (lambda line: None),
    )  # fmt: skip


def parameters(network: CTCNetwork) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_the_network_learns_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # At this size, tones of another speed or in noise would take minutes to learn.
    monkeypatch.setattr(device_augmentation, "CLEAN_SHARE", 1.0)
    monkeypatch.setattr(ctc, "DeviceAugmentation", partial(
        device_augmentation.DeviceAugmentation, ranges=Augmentation(speed_share=0)))  # fmt: skip
    monkeypatch.setattr(waveforms_module, "JOINED_SHARE", 0.0)
    monkeypatch.setattr(ctc, "MASK_SHARE", 0.0)
    monkeypatch.setattr(ctc, "LOG_STEPS", 10)
    texts = ("go home", "who is she")
    sets = [
        write_set(tmp_path / "tones", 8, texts=texts),
        write_set(tmp_path / "flite", 2, HELD_OUT_VOICES[0], texts),
    ]
    waveforms = Waveforms(sets, [], CPU, {"tones": 30.0})
    lines: list[dict[str, Any]] = []
    rates = (5e-4, 5e-4, 1e-3)
    training = trainer(waveforms, tmp_path / "c.pt", lines.append, epochs=1, batch=6.0, rates=rates)
    training.train()
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.25 * losses[0]
    assert lines[0]["flite_cer"] > 0.8
    assert lines[-1]["flite_cer"] < 0.5
    assert lines[-1]["percent"] == 100
    measured = error_rates(training.average.network, waveforms, OPTIONS.batch)
    assert measured["flite_cer"] == lines[-1]["flite_cer"], "the rates are those of the average"


def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    waveforms: Waveforms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = trainer(waveforms, tmp_path / "straight.pt")
    straight.train()

    monkeypatch.setattr(ctc, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(ctc, "LOG_STEPS", 2)

    def interrupt(line: dict[str, object], stop: int) -> None:
        if line["step"] == stop:
            raise KeyboardInterrupt

    steps = straight._total
    assert steps == 6
    for stop in (2, 4):  # in the first and in the second epoch, of three steps each
        with pytest.raises(KeyboardInterrupt):
            trainer(waveforms, tmp_path / "cut.pt", partial(interrupt, stop=stop)).train()
    # The weights at the start do not matter: the checkpoint has all of them.
    resumed = trainer(waveforms, tmp_path / "cut.pt", network=9)
    assert 0 < resumed._step < steps
    resumed.train()
    for name, value in parameters(straight.average.network).items():
        assert torch.equal(resumed.average.network.state_dict()[name], value), name
    for name, value in parameters(straight._network).items():
        assert torch.equal(resumed._network.state_dict()[name], value), name


def test_a_finished_run_goes_on_with_more_epochs_but_not_with_other_rates(
    waveforms: Waveforms, tmp_path: Path
) -> None:
    trainer(waveforms, tmp_path / "c.pt", epochs=1).train()
    longer = trainer(waveforms, tmp_path / "c.pt", epochs=2)
    steps = longer._step
    longer.train()
    assert longer._step == 2 * steps
    with pytest.raises(InputError, match="delete it to train anew"):
        trainer(waveforms, tmp_path / "c.pt", rates=(0.0, 3e-4, 1e-3))


def test_time_ends_a_run_within_an_epoch(waveforms: Waveforms, tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    trainer(waveforms, tmp_path / "c.pt", lines.append, minutes=1e-9).train()
    assert [(line["step"], line["percent"]) for line in lines] == [(0, 100)]


@pytest.mark.parametrize("device", DEVICES)
def test_layers_with_a_rate_of_zero_are_frozen(device: str, tmp_path: Path) -> None:
    waveforms = Waveforms([write_set(tmp_path / "tones", 8)], [], torch.device(device))
    with pytest.raises(InputError, match="all learning rates are 0"):
        trainer(waveforms, tmp_path / "c.pt", rates=(0.0, 0.0, 0.0))
    training = trainer(waveforms, tmp_path / "c.pt", epochs=1, rates=(0.0, 3e-4, 1e-3))
    before = parameters(training._network)
    training.train()
    for network in (training._network, training.average.network):
        for name, value in network.state_dict().items():
            frozen = name.startswith(("encoder.stem", *(f"encoder.layers.{n}." for n in range(3))))
            assert torch.equal(value, before[name]) == frozen, name


def test_the_average_follows_the_parameters() -> None:
    network = small_network()
    average = MovingAverage(network)
    bias, averaged = network.head.letters.bias, average.network.head.letters.bias
    for step, value in ((1, 1.0), (2, 2.0)):
        torch.nn.init.constant_(bias, value)
        average.update(network, step)
        # Decay 2 / 21 in the first step, from 2 or 0 (blank and letters); 3 / 22 in the second.
        if step == 1:
            assert averaged[:2].tolist() == pytest.approx([(4 + 19) / 21, 19 / 21])
    assert averaged[1].item() == pytest.approx(3 / 22 * 19 / 21 + 19 / 22 * 2)
    torch.nn.init.constant_(bias, 3.0)
    average.update(network, 10**9)
    assert averaged[1].item() == pytest.approx(0.9995 * (57 / 462 + 38 / 22) + 0.0005 * 3)


def test_masks_stay_within_their_clips() -> None:
    counts = np.array([10, 40, 80] * 100)
    hidden = draw_masks(counts, 100, np.random.default_rng(0))
    starts = hidden.argmax(1)
    assert (starts[hidden.any(1)] <= counts[hidden.any(1)]).all()
    assert 0.5 < hidden.any(1).mean() < 0.7
    assert hidden.sum(1).max() <= 2 * 15
    assert not draw_masks(np.zeros(0, int), 5, np.random.default_rng(0)).any()


def test_clips_for_validation_are_kept_apart(waveforms: Waveforms) -> None:
    assert {clip.speaker for clip in waveforms.held_out} == {HELD_OUT_VOICES[0]}
    assert not any(map(is_held_out, waveforms.training))
    # Babble ends where the clips for validation begin.
    assert len(waveforms.noises.speech) == sum(clip.count for clip in waveforms.training)


def test_an_epoch_uses_clips_by_weight(tmp_path: Path) -> None:
    folders = [write_set(tmp_path / name, 20) for name in ("twice", "rarely", "never")]
    waveforms = Waveforms(folders, [], CPU, {"twice": 2.0, "rarely": 0.25, "never": 0.0})
    counts: Counter[str] = Counter()
    for epoch in range(20):
        plan = waveforms.plan_epoch(20.0, np.random.default_rng(epoch))
        examples = [example for batch in plan for example in batch]
        counts.update(clip.group for example in examples for clip in example)
        for batch in plan:
            loaded = waveforms.load(batch)
            assert loaded.lengths.max() * len(batch) <= 20 * RATE
            assert loaded.lengths.max() <= LONGEST_JOINED * RATE
    assert counts["twice"] == 800
    assert 70 < counts["rarely"] < 130
    assert "never" not in counts
    assert {len(example) for example in examples} >= {1, 2}, "some are joined"


def test_a_batch_holds_the_samples_of_its_clips(waveforms: Waveforms, tmp_path: Path) -> None:
    one, two = waveforms.training[:2]
    loaded = waveforms.load([(one,), (one, two)])
    assert loaded.lengths.tolist() == [one.count, one.count + PAUSE + two.count]
    first, joined = loaded.samples
    assert torch.equal(first[: one.count], joined[: one.count])
    assert not first[one.count :].any()
    assert not joined[one.count : one.count + PAUSE].any()
    alone = waveforms.load([(two,)]).samples[0, : two.count]
    assert torch.equal(joined[one.count + PAUSE :][: two.count], alone)
    assert alone.abs().max() == pytest.approx(0.3, abs=0.01)
    assert ctc.transcript((one, two)) == f"{one.text} {two.text}"
    assert one.text in TEXTS


def test_batches_hold_every_clip_once(waveforms: Waveforms) -> None:
    examples = [(clip,) for clip in waveforms.training]
    batches = make_batches(examples, 5.0, np.random.default_rng(0))
    offsets = [clip.offset for batch in batches for (clip,) in batch]
    assert sorted(offsets) == sorted(clip.offset for clip in waveforms.training)


def test_reserved_voices_and_missing_speech_are_refused(tmp_path: Path) -> None:
    voice = f"af_bella+{sorted(RESERVED_VOICES)[0]}:0.5"
    with pytest.raises(InputError, match="held back for evaluation"):
        Waveforms([write_set(tmp_path / "mixes", 1, voice)], [], CPU)
    with pytest.raises(WavRAGError, match="stages synth and decode"):
        Waveforms([], [], CPU)
