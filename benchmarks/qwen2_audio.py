"""Speed of the paper's retriever at full size, with random weights, which do not affect times.

    python benchmarks/qwen2_audio.py --size 7b                    on a GPU
    python benchmarks/qwen2_audio.py --size 7b --base FOLDER      a model folder
    python benchmarks/qwen2_audio.py --size tiny                  anywhere, to test the script

Prints milliseconds per spoken query at batch size 1 (percentiles 5, 50 and 95) and inputs per
second in batches, compared with greedy recognition of a 20-token question by a network of the size
of Whisper-large-v3; the share of each component in a query; then training samples per second and
peak memory of the paper's recipe. `--padded` computes the padding up to 30 s as transformers does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from wavrag.embed import trim_padding
from wavrag.train.contrastive import tiny
from wavrag.train.contrastive.loss import contrastive_loss
from wavrag.train.contrastive.model import build_retriever, prepare_for_training
from wavrag.train.contrastive.options import LoraOptions, LossOptions

RATE = 16_000
TOKENS = 20  # of a typical question
SECONDS = {"7b": (5, 15, 30), "tiny": (0.5, 1, 2)}
REPEATS = 30
WARMUP_SECONDS = 2.0  # kernels are chosen and memory is reserved in the first calls


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(SECONDS), default="tiny")
    parser.add_argument("--base", type=Path, help="model folder in place of random weights")
    parser.add_argument("--padded", action="store_true", help="encode 30 s of every query")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--train-batch", type=int, default=8, help="records in one step")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    report: dict[str, Any] = {
        "size": options.size,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "weights": str(options.base or "random: times are those of trained ones"),
    }
    if options.base:
        model = build_retriever(options.base, query_prompt="find: ", passage_prompt="", dtype=dtype)
        model.to(device).eval()
    else:
        with TemporaryDirectory() as folder:
            model = retriever(options.size, Path(folder), device, dtype)
    if options.padded:
        del model[0].model.forward, model[0].model.audio_tower.forward
    report["parameters"] = sum(value.numel() for value in model.parameters())
    recognise = recogniser(options.size, device, dtype)
    for seconds in SECONDS[options.size]:
        single = features(model, seconds, 1, device)
        batched = features(model, seconds, options.batch, device)
        query = times_ms(lambda single=single: model(dict(single)), device)
        batch = times_ms(lambda batched=batched: model(dict(batched)), device, repeats=3)
        cascade = times_ms(recognise, device, repeats=3)
        median = statistics.median(query)
        report[f"{seconds} s"] = {
            "query_ms": {
                f"p{share}": round(float(np.percentile(query, share)), 1) for share in (5, 50, 95)
            },
            "items_per_second": round(1000 * options.batch / statistics.median(batch), 1),
            "recognition_over_query": round(statistics.median(cascade) / median, 2),
        }
        print(json.dumps({f"{seconds} s": report[f"{seconds} s"]}), flush=True)
    report["profile"] = profile(model, features(model, SECONDS[options.size][0], 1, device))
    report["training"] = training(model, SECONDS[options.size][0], options.train_batch, device)
    print(json.dumps(report, indent=1))


def retriever(size: str, folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """Build the retriever with random weights: tiny, or the architecture of Qwen2-Audio-7B."""
    tiny.build_tiny(folder)
    model = build_retriever(folder, query_prompt="find: ", passage_prompt="", dtype=dtype)
    if size == "7b":
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
        from transformers import Qwen2AudioConfig, Qwen2AudioModel

        tokens = model.tokenizer
        config = Qwen2AudioConfig(
            audio_config={"model_type": "qwen2_audio_encoder"},  # its defaults are the true size
            text_config={
                "model_type": "qwen2", "vocab_size": 156_032, "hidden_size": 4096,
                "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32,
                "num_key_value_heads": 32, "max_position_embeddings": 8192,
            },
            audio_token_index=tokens.convert_tokens_to_ids("<|AUDIO|>"),
        )  # fmt: skip
        torch.set_default_dtype(dtype)
        with device:
            model[0].model = Qwen2AudioModel(config)
        torch.set_default_dtype(torch.float32)
        trim_padding(model[0].model)
        extractor = model[0].processor.feature_extractor
        extractor.chunk_length, extractor.n_samples, extractor.nb_max_frames = 30, 30 * RATE, 3000
        model[1], model[2] = Pooling(4096, pooling_mode="lasttoken"), Normalize()
    return model.to(device).eval()


def recogniser(size: str, device: torch.device, dtype: torch.dtype) -> Callable[[], Any]:
    """Build a random network of the size of Whisper-large-v3 for `TOKENS` greedy tokens."""
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    large = {
        "d_model": 1280, "encoder_layers": 32, "decoder_layers": 32, "encoder_ffn_dim": 5120,
        "decoder_ffn_dim": 5120, "encoder_attention_heads": 20, "decoder_attention_heads": 20,
    }  # fmt: skip
    small = {key: value // 20 if value > 100 else 2 for key, value in large.items()}
    config = WhisperConfig(
        vocab_size=51_866, num_mel_bins=128, **(large if size == "7b" else small)
    )
    torch.set_default_dtype(dtype)
    with device:
        model = WhisperForConditionalGeneration(config).eval()
    torch.set_default_dtype(torch.float32)
    sound = torch.randn(1, 128, 3000, device=device, dtype=dtype)
    greedy = GenerationConfig(
        max_length=TOKENS + 1, min_length=TOKENS + 1, do_sample=False, num_beams=1,
        decoder_start_token_id=50_258, eos_token_id=50_257, pad_token_id=50_257,
    )  # fmt: skip
    return lambda: model.generate(sound, generation_config=greedy)


def features(model: Any, seconds: float, count: int, device: torch.device) -> dict[str, Any]:
    """Build model inputs from noise."""
    rng = np.random.default_rng(0)
    clips = [
        {
            "array": rng.standard_normal(int(seconds * RATE)).astype(np.float32) * 0.1,
            "sampling_rate": RATE,
        }
        for _ in range(count)
    ]
    inputs = model[0].preprocess([{"audio": clip} for clip in clips], prompt="find: ")
    return {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in inputs.items()
    }


def times_ms(run: Callable[[], Any], device: torch.device, repeats: int = REPEATS) -> list[float]:
    """Measure calls in milliseconds, after calls without measurement for `WARMUP_SECONDS`."""
    times: list[float] = []
    with torch.inference_mode():
        begin = time.perf_counter()
        while len(times) < repeats:
            started = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if started - begin > WARMUP_SECONDS:
                times.append(1000 * (time.perf_counter() - started))
    return times


def profile(model: Any, inputs: dict[str, Any]) -> dict[str, float]:
    """Measure the shares of encoder, projector and language model in a query."""
    times_spent: dict[str, float] = {}
    hooks = []
    inner = model[0].model
    for name in ("audio_tower", "multi_modal_projector", "language_model"):
        module, clock = getattr(inner, name), {}

        def before(*_: Any, clock: dict[str, float] = clock) -> None:
            _wait()
            clock["at"] = time.perf_counter()

        def after(*_: Any, clock: dict[str, float] = clock, name: str = name) -> None:
            _wait()
            times_spent[name] = times_spent.get(name, 0.0) + time.perf_counter() - clock["at"]

        hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    with torch.inference_mode():
        for _ in range(5):
            model(dict(inputs))
    for hook in hooks:
        hook.remove()
    total = sum(times_spent.values())
    return {name: round(value / total, 3) for name, value in times_spent.items()}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def training(model: Any, seconds: float, batch: int, device: torch.device) -> dict[str, float]:
    """Measure samples per second and peak memory of training steps of the paper's recipe."""
    prepare_for_training(model, LoraOptions())
    inner = model[0].model
    inner.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    loss = contrastive_loss(model, replace(LossOptions(), gather=False))
    values = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(values, lr=1e-4)
    batches = [features(model, seconds, batch, device) for _ in range(2)]
    model.train()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(3):
        started = time.perf_counter()
        loss([dict(side) for side in batches], None).backward()
        optimizer.step()
        optimizer.zero_grad()
        _wait()
        times.append(time.perf_counter() - started)
    inputs = {"samples_per_second": round(batch / min(times), 2)}
    if device.type == "cuda":
        inputs["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
    return inputs


if __name__ == "__main__":
    main()
