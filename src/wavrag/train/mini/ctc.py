"""Training of speech to letters with CTC: Moonshine's encoder and new layers on top of it.

Waveforms, augmentation and network are on one device. The random numbers of a step depend on the
seed and its number alone, so an interrupted run resumes as if it had not been interrupted.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wavrag.embed import BLANK
from wavrag.errors import InputError
from wavrag.text import edit_distance
from wavrag.train.mini.device import half
from wavrag.train.mini.device_augmentation import DeviceAugmentation
from wavrag.train.mini.letters import CLASSES, collapse_classes, text_to_classes
from wavrag.train.mini.moonshine import WIDTH, Encoder, Layer, frames_of, run_layers
from wavrag.train.mini.waveforms import Example, Waveforms, make_batches

NEW_LAYERS = 3  # layers on top of the encoder
LOWER_LAYERS = 3  # encoder layers that share a learning rate with the convolutions
WARMUP = 0.05  # share of the training
DECAY = 0.01  # weight decay
AVERAGE = 0.9995  # decay of the moving average, reached after many steps
MASK_SHARE = 0.6  # share of clips with masked spans of frames (SpecAugment)
MASKS, WIDEST_MASK = 2, 15  # spans of such a clip, and frames of a span
LOG_STEPS = 50
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class CTCOptions:
    """Options of CTC training."""

    epochs: int = 10  # passes over the clips
    minutes: float = math.inf  # stop that many minutes after the first step
    batch: float = 160.0  # seconds of padded audio per batch
    # Peak learning rates of the convolutions with the lower encoder layers, of the upper encoder
    # layers, and of the new layers. Layers with a rate of 0 are frozen.
    rates: tuple[float, float, float] = (1e-4, 3e-4, 1e-3)
    seed: int = 0  # random seed


class SpeechHead(nn.Module):
    """Encoder frames, (b, t, 288), to letters, (b, t, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(NEW_LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        self.letters = nn.Linear(WIDTH, CLASSES)
        nn.init.zeros_(self.letters.bias)
        self.letters.bias.data[BLANK] = 2.0  # most frames are blank

    def forward(self, frames: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the logits of every letter in every frame."""
        scores: Tensor = self.letters(self.norm(run_layers(self.layers, frames, counts)))
        return scores


class CTCNetwork(nn.Module):
    """Waveforms to letters; its parameters have the names of a file for `convert.load_letters`."""

    def __init__(self, encoder: Encoder, head: SpeechHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, samples: Tensor, lengths: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return logits, float32, shape = (b, t, CLASSES).

        Args:
            samples: shape = (b, n).
            lengths: number of samples of each clip, shape = (b,), on the device.
            hidden: frames to mask, shape = (b, t).
        """
        # In float32: the input of the last convolution has outliers.
        x, counts = self.encoder.stem(samples, lengths), frames_of(lengths)
        with half(samples.device):
            x = run_layers(self.encoder.layers[:LOWER_LAYERS], x, counts)
            if hidden is not None:
                x = x.masked_fill(hidden[..., None], 0.0)
            x = self.encoder.norm(run_layers(self.encoder.layers[LOWER_LAYERS:], x, counts))
            scores: Tensor = self.head(x, counts)
        return scores.float()

    def group_parameters(self) -> tuple[list[nn.Parameter], ...]:
        """Return the parameters of each rate of `CTCOptions.rates`."""
        encoder = self.encoder
        return (
            [*encoder.stem.parameters(), *encoder.layers[:LOWER_LAYERS].parameters()],
            [*encoder.layers[LOWER_LAYERS:].parameters(), *encoder.norm.parameters()],
            list(self.head.parameters()),
        )


class MovingAverage:
    """An exponential moving average of the parameters of a network."""

    def __init__(self, network: CTCNetwork) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: CTCNetwork, step: int) -> None:
        """Average the parameters after step `step`, counted from 1; early ones soon lose weight."""
        decay = min(AVERAGE, (1 + step) / (20 + step))
        pairs = zip(self.network.parameters(), network.parameters(), strict=True)
        for average, value in pairs:
            if value.requires_grad:
                average.lerp_(value, 1 - decay)


class CTCTrainer:
    """Trains a network on the device of the waveforms; resumes from its checkpoint."""

    def __init__(
        self,
        network: CTCNetwork,
        waveforms: Waveforms,
        options: CTCOptions,
        *,
        checkpoint: Path,
        log: Callable[[dict[str, object]], None],
    ) -> None:
        """Prepare the training, and load the checkpoint if there is one.

        Raises:
            InputError: the checkpoint has other options, apart from the length of the training.
        """
        self._network, self._waveforms, self._options = network, waveforms, options
        self._checkpoint, self._log = checkpoint, log
        self._augmentation = DeviceAugmentation(waveforms.noises)
        self.average = MovingAverage(network)
        groups: list[dict[str, Any]] = []
        for parameters, rate in zip(network.group_parameters(), options.rates, strict=True):
            if rate > 0:
                groups.append({"params": parameters, "lr": 0.0, "peak": rate})
            else:
                for parameter in parameters:
                    parameter.requires_grad_(False)
        if not groups:
            raise InputError("all learning rates are 0: nothing would be trained")
        self._optimizer = torch.optim.AdamW(groups, weight_decay=DECAY, betas=(0.9, 0.98))
        self._step = self._epoch = self._position = 0
        self._started = time.monotonic()
        self._total = max(1, options.epochs * len(self._plan_epoch()))  # steps
        if checkpoint.exists():
            self._resume()

    def train(self) -> None:
        """Train to the end; log losses, and after every epoch the error rates of the average."""
        losses: list[Tensor] = []
        saved = time.monotonic()
        self._log_rates()
        if self._step == 0:
            # Else the first rates would take time from the warm-up of a short run.
            self._started = time.monotonic()
        while self._progress() < 1:
            plan = self._plan_epoch()
            while self._position < len(plan) and self._progress() < 1:
                losses.append(self._train_step(plan[self._position]))
                self._position += 1
                if self._step % LOG_STEPS == 0:
                    loss = float(torch.stack(losses).mean())
                    self._log({**self._location(), "loss": round(loss, 3)})
                    losses.clear()
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._save()
                    saved = time.monotonic()
            if self._position >= len(plan):
                self._epoch, self._position = self._epoch + 1, 0
            self._save()
            self._log_rates()

    def _plan_epoch(self) -> list[list[Example]]:
        rng = np.random.default_rng((self._options.seed, 0, self._epoch))
        return self._waveforms.plan_epoch(self._options.batch, rng)

    def _progress(self) -> float:
        """Return the share of the training that is done, by steps or by time."""
        minutes = (time.monotonic() - self._started) / 60
        return max(self._step / self._total, minutes / self._options.minutes)

    def _train_step(self, examples: Sequence[Example]) -> Tensor:
        """Train on a batch; return its loss, on the device."""
        rng = np.random.default_rng((self._options.seed, 1, self._step))
        progress = self._progress()
        scale = min(1.0, progress / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * min(progress, 1.0)))
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * scale + 1e-7
        batch = self._augmentation.apply(self._waveforms.load(examples), rng)
        counts = frames_of(batch.lengths)
        hidden = draw_masks(counts.numpy(), int(frames_of(batch.samples.shape[1])), rng)
        device = batch.samples.device
        scores = self._network(
            batch.samples, batch.lengths.to(device), torch.from_numpy(hidden).to(device)
        )
        loss = ctc_loss(scores, counts, [transcript(example) for example in examples])
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        trained = [value for group in self._optimizer.param_groups for value in group["params"]]
        nn.utils.clip_grad_norm_(trained, 1.0)
        self._optimizer.step()
        self._step += 1
        self.average.update(self._network, self._step)
        return loss.detach()

    def _location(self) -> dict[str, object]:
        percent = min(100, int(100 * self._progress()))
        seconds = round(time.monotonic() - self._started)
        return {"percent": percent, "step": self._step, "epoch": self._epoch, "seconds": seconds}

    def _log_rates(self) -> None:
        rates = error_rates(self.average.network, self._waveforms, self._options.batch)
        self._log({**self._location(), **rates})

    def _fixed_options(self) -> dict[str, Any]:
        options = asdict(self._options)
        return {name: options[name] for name in ("batch", "rates", "seed")}

    def _save(self) -> None:
        state = {
            "network": self._network.state_dict(), "average": self.average.network.state_dict(),
            "optimizer": self._optimizer.state_dict(), "step": self._step, "epoch": self._epoch,
            "position": self._position, "seconds": time.monotonic() - self._started,
            "options": self._fixed_options(),
        }  # fmt: skip
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self._checkpoint)

    def _resume(self) -> None:
        state = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        if state["options"] != self._fixed_options():
            raise InputError(
                f"{self._checkpoint} was trained with {state['options']}: give the same options,"
                " or delete it to train anew"
            )
        self._network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self._epoch = state["step"], state["epoch"]
        self._position = state["position"]
        self._started = time.monotonic() - state["seconds"]


def transcript(example: Example) -> str:
    """Return the text of an example."""
    return " ".join(clip.text for clip in example)


def draw_masks(counts: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Draw spans of frames to mask within clips of `counts` frames; bool, shape = (b, frames)."""
    starts = rng.random((MASKS, len(counts))) * counts
    ends = starts + rng.uniform(1, WIDEST_MASK, starts.shape)
    times = np.arange(frames)
    spans = (times >= starts[..., None]) & (times < ends[..., None])
    hidden: np.ndarray = spans.any(0) & (rng.random(len(counts)) < MASK_SHARE)[:, None]
    return hidden


def ctc_loss(scores: Tensor, counts: Tensor, texts: Sequence[str]) -> Tensor:
    """Return the mean loss per letter of logits, (b, t, CLASSES), with `counts` frames per clip."""
    targets = [text_to_classes(text) for text in texts]
    return functional.ctc_loss(
        scores.log_softmax(-1).transpose(0, 1),
        torch.tensor([value for target in targets for value in target]).to(scores.device),
        counts, torch.tensor([len(target) for target in targets]), zero_infinity=True,
    )  # fmt: skip


def error_rates(network: CTCNetwork, waveforms: Waveforms, batch: float) -> dict[str, float]:
    """Return character and word error rates of greedy decoding of the held-out clips, by set."""
    totals: dict[str, list[int]] = {}
    held_out = [(clip,) for clip in waveforms.held_out]
    for examples in make_batches(held_out, batch, np.random.default_rng(0)):
        clips = waveforms.load(examples)
        with torch.inference_mode():
            scores = network(clips.samples, clips.lengths.to(clips.samples.device))
        counts = frames_of(clips.lengths).tolist()
        for (clip,), best, count in zip(examples, scores.argmax(-1).tolist(), counts, strict=True):
            text = collapse_classes(best[:count])
            total = totals.setdefault(clip.group, [0, 0, 0, 0])
            total[0] += edit_distance(text, clip.text)
            total[1] += len(clip.text)
            total[2] += edit_distance(text.split(), clip.text.split())
            total[3] += len(clip.text.split())
    rates = {}
    for group, (letters, of_letters, words, of_words) in sorted(totals.items()):
        rates[f"{group}_cer"] = round(letters / of_letters, 3)
        rates[f"{group}_wer"] = round(words / of_words, 3)
    return rates
