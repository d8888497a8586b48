"""Build sentence-transformers networks from bare transformers models by their spec.

For models whose published files specify no pooling, such as Qwen2-Audio: sentence-transformers
would default to mean pooling, which is not what they are trained for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from wavrag.types import Float32

# Pooling of a `ModelSpec` to that of sentence-transformers.
POOLING = {"last": "lasttoken", "mean": "mean", "cls": "cls"}
CHAT_TEMPLATE = (
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
    "<|endoftext|>"
)
"""For Qwen2-Audio: instruction, audio, text, end-of-sequence token. Without chat roles, since the
paper (arXiv 2502.14727) describes none. The last token attends to everything before it."""


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
    device: str | None = None, prompts: dict[str, str] | None = None,
) -> Any:  # fmt: skip
    """Build a SentenceTransformer with pooling and normalisation on a bare transformers model.

    The dtype of the weights is a torch dtype or its name; `prompts` are for `query` and `document`.

    Raises:
        OSError, ValueError: the model cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    transformer = Transformer(str(model), model_kwargs={"dtype": dtype})
    config = transformer.config
    if config.model_type == "qwen2_audio":
        # In place of the chat template of an assistant.
        transformer.processor.chat_template = CHAT_TEMPLATE
    width = config.get_text_config().hidden_size
    return SentenceTransformer(
        modules=[transformer, Pooling(width, pooling_mode=POOLING[pooling]), Normalize()],
        prompts=prompts, device=device, similarity_fn_name="cosine",
    )  # fmt: skip
