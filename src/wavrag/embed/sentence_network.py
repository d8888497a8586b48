"""Build sentence-transformers networks from bare transformers models by their spec.

For models whose published files specify no pooling, such as Qwen2-Audio: sentence-transformers
would default to mean pooling, which is not what they are trained for.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import MethodType
from typing import Any, Literal

import numpy as np

from wavrag.types import Float32

# Pooling of a `ModelSpec` to that of sentence-transformers.
POOLING = {"last": "lasttoken", "mean": "mean", "cls": "cls"}
MESSAGES_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['content'] is string -%}{{ message['content'] }}"
    "{%- else -%}"
    "{%- for part in message['content'] if part['type'] == 'audio' -%}"
    "<|audio_bos|><|AUDIO|><|audio_eos|>"
    "{%- endfor -%}"
    "{%- for part in message['content'] if part['type'] == 'text' -%}{{ part['text'] }}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
)
"""For Qwen2-Audio: instruction, audio, text. Without chat roles, since the paper (arXiv 2502.14727)
describes none."""
END_OF_TEXT = "<|endoftext|>"  # the end-of-sequence token of Qwen2-Audio


QWEN2_AUDIO = "qwen2_audio"  # model type in config.json
# Spectrogram frames after the end of a recording. The two convolutions see at most three of them;
# their number in all is rounded up to a multiple of 4, the frames of one output of the encoder.
PADDING_FRAMES = 4
MIN_SECONDS = 0.2  # shorter audio is padded with silence: encoders need a few frames


def audio_inputs(samples: Float32, sample_rate: int, chunk_seconds: float) -> Any:
    """Convert samples to the audio input of sentence-transformers: one recording, or its chunks.

    `chunk_seconds` is the limit of the audio encoder; there must be at least one sample.
    """
    size, shortest = int(chunk_seconds * sample_rate), int(MIN_SECONDS * sample_rate)
    chunks = [samples[at : at + size] for at in range(0, len(samples), size)]
    inputs = [
        {"array": np.pad(chunk, (0, max(0, shortest - len(chunk)))), "sampling_rate": sample_rate}
        for chunk in chunks
    ]
    return inputs if len(inputs) > 1 else inputs[0]


def token_spans(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    """Return the character span of each token of a text, without special tokens."""
    options = {"truncation": False, "return_offsets_mapping": True}
    encoding = tokenizer(text, add_special_tokens=False, **options)
    spans: list[tuple[int, int]] = encoding["offset_mapping"]
    return spans


def build_network(
    model: str | Path, *, pooling: Literal["last", "mean", "cls"], dtype: Any,
    device: str | None = None, prompts: dict[str, str] | None = None, revision: str | None = None,
    ending: str = END_OF_TEXT,
) -> Any:  # fmt: skip
    """Build a SentenceTransformer with pooling and normalisation on a bare transformers model.

    The dtype of the weights is a torch dtype or its name; `prompts` are for `query` and `document`;
    `revision` is a commit on the hub, None for the newest one. `ending` follows the input of a
    Qwen2-Audio. Its last token attends to everything before it, so that `last` pools the whole
    input.

    Raises:
        OSError, ValueError: the model cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    pinned = {"revision": revision} if revision else {}
    transformer = Transformer(
        str(model), model_kwargs={"dtype": dtype, **pinned}, processor_kwargs=pinned,
        config_kwargs=pinned,
    )  # fmt: skip
    config = transformer.config
    if config.model_type == QWEN2_AUDIO:
        # In place of the chat template of an assistant.
        template = MESSAGES_TEMPLATE + "{{ " + json.dumps(ending) + " }}"
        transformer.processor.chat_template = template
        trim_padding(transformer.model)
    width = config.get_text_config().hidden_size
    return SentenceTransformer(
        modules=[transformer, Pooling(width, pooling_mode=POOLING[pooling]), Normalize()],
        prompts=prompts, device=device, similarity_fn_name="cosine",
    )  # fmt: skip


def trim_padding(model: Any) -> None:
    """Let a `Qwen2AudioModel` encode the longest recording of a batch instead of 30 s.

    Its feature extractor pads every recording to 30 s. Attention masks that padding, so the vectors
    stay the same up to rounding, while a recording of 5 s costs a sixth of the encoder's work.
    """
    # sentence-transformers calls `forward`, which would skip a hook.
    model.forward = MethodType(_forward_trimmed, model)
    model.audio_tower.forward = MethodType(_encode_any_length, model.audio_tower)


def _forward_trimmed(model: Any, *arguments: Any, **keywords: Any) -> Any:
    """Cut the spectrograms of a batch after its longest recording."""
    mask = keywords.get("feature_attention_mask")
    if mask is not None and keywords.get("input_features") is not None:
        frames = -(-(int(mask.sum(-1).max()) + PADDING_FRAMES) // 4) * 4
        for name in ("input_features", "feature_attention_mask"):
            keywords[name] = keywords[name][..., :frames]
    return type(model).forward(model, *arguments, **keywords)


def _encode_any_length(
    tower: Any, input_features: Any, attention_mask: Any = None, **keywords: Any
) -> Any:
    """Encode spectrograms, as `Qwen2AudioEncoder.forward`, which refuses any but its own length."""
    from torch.nn.functional import gelu
    from transformers.modeling_outputs import BaseModelOutput

    weight = tower.conv1.weight
    hidden = gelu(tower.conv1(input_features.to(weight.device, weight.dtype)))
    hidden = gelu(tower.conv2(hidden)).permute(0, 2, 1)
    hidden = hidden + tower.embed_positions.weight[: hidden.shape[1]]
    for layer in tower.layers:
        hidden = layer(hidden, attention_mask, **keywords)
    hidden = tower.avg_pooler(hidden.permute(0, 2, 1)).permute(0, 2, 1)
    return BaseModelOutput(last_hidden_state=tower.layer_norm(hidden))
