"""Networks of sentence-transformers put together by a model's contract.

For models whose published files name no pooling, such as Qwen2-Audio: what a library would guess
for them (the mean of the tokens) is not what they are trained for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from wavrag.types import Float32

POOLING = {"last": "lasttoken", "mean": "mean", "cls": "cls"}  # ours to sentence-transformers'
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
"""For Qwen2-Audio: instruction, recordings, text, end of sequence, and no roles, as the paper
(arXiv 2502.14727) describes none. The last token has seen everything before it."""


SHORTEST = 0.2  # s; a shorter recording is padded with silence, as encoders need a few frames


def audio_inputs(samples: Float32, sample_rate: int, chunk_seconds: float) -> Any:
    """Sound as sentence-transformers takes it: one recording, or several of at most so long.

    Args:
        samples: shape = (n_samples,), n_samples > 0.
        sample_rate: Hz.
        chunk_seconds: what the encoder hears at a time.
    """
    size, shortest = int(chunk_seconds * sample_rate), int(SHORTEST * sample_rate)
    chunks = [samples[at : at + size] for at in range(0, len(samples), size)]
    given = [
        {
            "array": np.pad(chunk, (0, max(0, shortest - len(chunk)))),
            "sampling_rate": sample_rate,
        }
        for chunk in chunks
    ]
    return given if len(given) > 1 else given[0]


def token_spans(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    """Where every token of a text starts and ends, special ones left out."""
    coded = tokenizer(text, add_special_tokens=False, truncation=False, return_offsets_mapping=True)
    spans: list[tuple[int, int]] = coded["offset_mapping"]
    return spans


def build_network(
    place: str | Path,
    *,
    pooling: Literal["last", "mean", "cls"],
    dtype: Any,
    device: str | None = None,
    prompts: dict[str, str] | None = None,
) -> Any:
    """A SentenceTransformer of a bare transformers model: tokens pooled, unit vectors.

    Args:
        place: folder or hub name.
        pooling: which hidden states become the vector.
        dtype: of the weights, a torch type or its name.
        device: as torch names it; None for a GPU if there is one.
        prompts: `query` and `document`.

    Raises:
        OSError, ValueError: the model cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    transformer = Transformer(str(place), model_kwargs={"dtype": dtype})
    config = transformer.config
    if config.model_type == "qwen2_audio":
        transformer.processor.chat_template = CHAT_TEMPLATE
    width = config.get_text_config().hidden_size
    return SentenceTransformer(
        modules=[transformer, Pooling(width, pooling_mode=POOLING[pooling]), Normalize()],
        prompts=prompts,
        device=device,
        similarity_fn_name="cosine",
    )
