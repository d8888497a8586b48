"""The assembly of a small Qwen2-Audio, on random parts: the same outputs as the parts give."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tools import assemble_paper_small as tool  # noqa: E402
from wavrag.train.contrastive.tiny import build_tiny  # noqa: E402

LAYERS, WIDTH, SECONDS = 2, 16, 2


@pytest.fixture(scope="module")
def encoder() -> object:
    config = transformers.WhisperConfig(
        num_mel_bins=80, d_model=WIDTH, encoder_layers=LAYERS, encoder_attention_heads=2,
        encoder_ffn_dim=32, max_source_positions=50 * SECONDS,
    )  # fmt: skip
    torch.manual_seed(1)
    return transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()


def write_ctranslate2(encoder: object, path: Path) -> None:
    """Write the encoder as CTranslate2 does, one matrix for queries, keys and values."""
    state = {name: value.detach().numpy() for name, value in encoder.state_dict().items()}
    names = {"weight": "weight", "bias": "bias"}
    norms = {"weight": "gamma", "bias": "beta"}
    variables = {"position_encodings/encodings": state["embed_positions.weight"]}

    def copy(old: str, new: str, kinds: dict[str, str]) -> None:
        for kind, name in kinds.items():
            variables[f"{new}/{name}"] = state[f"{old}.{kind}"]

    copy("conv1", "conv1", names)
    copy("conv2", "conv2", names)
    copy("layer_norm", "layer_norm", norms)
    for at in range(LAYERS):
        old, new = f"layers.{at}", f"layer_{at}"
        copy(f"{old}.self_attn_layer_norm", f"{new}/self_attention/layer_norm", norms)
        copy(f"{old}.final_layer_norm", f"{new}/ffn/layer_norm", norms)
        copy(f"{old}.self_attn.out_proj", f"{new}/self_attention/linear_1", names)
        copy(f"{old}.fc1", f"{new}/ffn/linear_0", names)
        copy(f"{old}.fc2", f"{new}/ffn/linear_1", names)
        attention = f"{old}.self_attn"
        variables[f"{new}/self_attention/linear_0/weight"] = np.concatenate(
            [state[f"{attention}.{name}_proj.weight"] for name in "qkv"]
        )
        variables[f"{new}/self_attention/linear_0/bias"] = np.concatenate(
            [state[f"{attention}.q_proj.bias"], np.zeros(WIDTH), state[f"{attention}.v_proj.bias"]]
        )
    variables["num_heads"] = np.array(2, np.int16)

    def string(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    with path.open("wb") as file:
        file.write(struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<I", 3))
        file.write(struct.pack("<I", len(variables)))
        for name, values in variables.items():
            array = values if values.dtype == np.int16 else values.astype(np.float32)
            file.write(string(f"encoder/{name}") + struct.pack("B", array.ndim))
            file.write(struct.pack(f"<{array.ndim}I", *array.shape))
            file.write(struct.pack("B", 2 if array.dtype == np.int16 else 0))
            file.write(struct.pack("<I", array.nbytes) + array.tobytes())


def test_the_parts_give_the_same_outputs_in_the_folder(encoder: object, tmp_path: Path) -> None:
    write_ctranslate2(encoder, tmp_path / "model.bin")
    build_tiny(tmp_path / "tokens")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "tokens")
    language_model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
            pad_token_id=0, bos_token_id=0, eos_token_id=0,
        )
    ).eval()  # fmt: skip
    ids = tokenizer("which is ash?", return_tensors="pt")["input_ids"]
    sound = torch.randn(1, 80, 100 * SECONDS)
    with torch.inference_mode():
        logits = language_model(ids).logits[0, -1]
        frames = encoder(sound).last_hidden_state
    variables = tool.read_ctranslate2(tmp_path / "model.bin")
    tool.assemble(variables, language_model, tokenizer, tmp_path / "base", seed=0)

    model = transformers.Qwen2AudioForConditionalGeneration.from_pretrained(
        tmp_path / "base", dtype=torch.float32
    )
    tower = model.model.audio_tower.eval()
    with torch.inference_mode():
        assembled = model(input_ids=ids).logits[0, -1]
        pooled = tower(sound).last_hidden_state
        tower.avg_pooler = torch.nn.Identity()
        unpooled = tower(sound).last_hidden_state
    assert torch.allclose(assembled, logits, atol=2e-3)  # the folder is in float16
    assert torch.allclose(unpooled, frames, atol=1e-2)
    assert pooled.shape == (1, 25 * SECONDS, WIDTH)
    audio = tokenizer.convert_tokens_to_ids("<|AUDIO|>")
    assert model.config.audio_token_id == audio < len(tokenizer)
