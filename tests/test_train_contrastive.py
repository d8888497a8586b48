"""The paper's recipe on a tiny Qwen2-Audio: the real classes, small."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")
pytest.importorskip("peft")

import test_cli  # noqa: E402
from wavrag.cli import main  # noqa: E402
from wavrag.embed.sentence_model import SentenceModel  # noqa: E402
from wavrag.errors import InputError  # noqa: E402
from wavrag.train.contrastive.data import BatchReader, write_rows  # noqa: E402
from wavrag.train.contrastive.loss import CachedSoundLoss, contrastive_loss  # noqa: E402
from wavrag.train.contrastive.model import (  # noqa: E402
    ENCODER,
    build_retriever,
    merge_adapters,
    network,
    prepare_for_training,
)
from wavrag.train.contrastive.options import LoraOptions, LossOptions, load_recipe, recipe_names  # noqa: E402
from wavrag.train.contrastive.tiny import WORDS, build_tiny, write_tones  # noqa: E402
from wavrag.train.contrastive.trainer import batches_by_weight  # noqa: E402

RATE = 16_000


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, on one thread."""
    return test_cli.run(*arguments, env={**os.environ, "OMP_NUM_THREADS": "1"})


def run_here(*arguments: object) -> int:
    """The command in this process, which has loaded the libraries; its exit code."""
    return main([*map(str, arguments)])


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """More only slow a network of this size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny base with späces")
    build_tiny(folder)
    return folder


@pytest.fixture
def model(base: Path) -> Any:
    return build_retriever(base, query_prompt="find: ", passage_prompt="entry: ")


def sound(hertz: float, seconds: float) -> dict[str, Any]:
    time = np.arange(int(seconds * RATE)) / RATE
    samples = (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
    return {"array": samples, "sampling_rate": RATE}


MIXED = [
    {"audio": sound(300, 0.5)},
    {"audio": sound(500, 1.4), "text": "a longer text beside its sound"},
    {"audio": [sound(700, 2.0), sound(700, 0.7)]},
    {"audio": sound(900, 0.3), "text": "short"},
    "text alone",
]
TEXTS = ["one", "a much longer text than the other one", ""]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the recipe `tiny`, through the command line, once for all tests."""
    out = tmp_path_factory.mktemp("a run")
    result = run("train", "--recipe", "tiny", "--out", out, "--json")
    assert result.returncode == 0, result.stderr
    (out / "printed.json").write_text(result.stdout)
    return out


def recall_at_1(embedder: SentenceModel, folder: Path) -> dict[str, float]:
    """By direction, over the tones: the share of queries whose own positive is nearest."""
    from wavrag.audio import load
    from wavrag.data.records import Content, read_records
    from wavrag.types import EmbedInput

    def item(entry: Content) -> EmbedInput:
        return EmbedInput(entry.text, load(entry.audio) if isinstance(entry.audio, str) else None)

    pairs: dict[str, list[tuple[EmbedInput, EmbedInput]]] = {}
    for record in read_records(folder / "records.jsonl"):
        pairs.setdefault(record.direction, []).append(
            (item(record.query), item(record.positives[0]))
        )
    found = {}
    for direction, some in pairs.items():
        queries = embedder.embed([query for query, _ in some], "query")
        passages = embedder.embed([passage for _, passage in some], "passage")
        found[direction] = float(((queries @ passages.T).argmax(1) == np.arange(len(some))).mean())
    return found


def test_the_tiny_recipe_learns_in_all_five_directions(trained: Path) -> None:
    embedder = SentenceModel(trained / "model", device="cpu")
    found = recall_at_1(embedder, trained / "tones")
    assert set(found) == {"S2T", "T2T", "S2S", "T2S", "AT2AT"}
    assert all(share > 0.9 for share in found.values()), found
    report = json.loads((trained / "printed.json").read_text())
    assert report == json.loads((trained / "run.json").read_text())
    assert report["losses"][0] > 1 > report["losses"][-1]
    assert report["rows"] == dict.fromkeys(found, len(WORDS))


def test_before_training_it_is_near_chance(trained: Path, base: Path, tmp_path: Path) -> None:
    from wavrag.embed.model_specs import write_spec
    from wavrag.train.contrastive.run import retriever_spec

    untrained = build_retriever(base, query_prompt="find: ", passage_prompt="entry: ")
    untrained.save_pretrained(str(tmp_path), create_model_card=False)
    write_spec(retriever_spec(load_recipe("tiny"), untrained), tmp_path)
    found = recall_at_1(SentenceModel(tmp_path, device="cpu"), trained / "tones")
    assert max(found[direction] for direction in ("S2T", "T2S")) <= 4 / len(WORDS)


def test_frozen_means_frozen(trained: Path) -> None:
    from safetensors.torch import load_file

    before = load_file(trained / "base" / "model.safetensors")
    after = load_file(trained / "model" / "model.safetensors")
    assert set(before) == set(after)
    encoder = [name for name in before if ENCODER in name]
    assert len(encoder) > 10
    for name in encoder:
        assert torch.equal(before[name], after[name]), name
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert "multi_modal_projector.linear.weight" in moved
    assert "language_model.embed_tokens.weight" not in moved
    assert all(".layers." in name or "projector" in name for name in moved)


def test_what_trains_is_the_projector_and_the_adapters(model: Any) -> None:
    names = prepare_for_training(model, LoraOptions())
    start = "0.model.base_model.model."
    projector = {
        f"{start}multi_modal_projector.modules_to_save.default.linear.{part}"
        for part in ("weight", "bias")
    }
    parts = {
        "self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
        "mlp": ("gate_proj", "up_proj", "down_proj"),
    }
    adapters = {
        f"{start}language_model.layers.{layer}.{block}.{name}.lora_{side}.default.weight"
        for layer in range(2)
        for block, some in parts.items()
        for name in some
        for side in "AB"
    }
    assert set(names) == projector | adapters
    config = network(model).peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (8, 32, 0.05)


def test_an_adapter_for_a_layer_that_is_not_there_is_refused(model: Any) -> None:
    with pytest.raises(InputError, match=r"lora\.targets.*no_such_proj"):
        prepare_for_training(model, LoraOptions(targets=("q_proj", "no_such_proj")))


@pytest.mark.parametrize("items", [TEXTS, MIXED[:1], MIXED], ids=["text", "audio", "both"])
def test_left_padding_right_padding_and_one_by_one_agree(model: Any, items: list[Any]) -> None:
    def vectors(some: list[Any], side: str) -> Any:
        model.tokenizer.padding_side = side
        with torch.inference_mode():
            return model(model[0].preprocess(some, prompt="find: "))["sentence_embedding"]

    model.eval()
    batch = [*items, *items[:1]]
    left, right = vectors(batch, "left"), vectors(batch, "right")
    single = torch.cat([vectors([item], "left") for item in batch])
    assert torch.allclose(left, right, atol=1e-4)
    assert torch.allclose(left, single, atol=1e-4)
    assert not torch.allclose(left[0], left[1], atol=1e-2) or len(items) == 1


def test_the_vector_is_the_state_of_the_last_token_of_the_ending(base: Path) -> None:
    ending = '"\nIn one word:"'
    model = build_retriever(base, query_prompt='Say: "', passage_prompt="", ending=ending)
    features = model[0].preprocess([{"audio": sound(300, 0.2), "text": "oak"}], prompt='Say: "')
    text = model.tokenizer.decode(features["input_ids"][0]).replace("<|AUDIO|>", "")
    assert text == 'Say: "<|audio_bos|><|audio_eos|>oak' + ending


def test_trimmed_padding_changes_no_vector(model: Any, base: Path) -> None:
    untrimmed = build_retriever(base, query_prompt="find: ", passage_prompt="entry: ")
    inner = network(untrimmed)
    del inner.forward, inner.audio_tower.forward
    lengths = []
    network(model).audio_tower.conv1.register_forward_hook(
        lambda module, arguments, output: lengths.append(output.shape[-1])
    )
    with torch.inference_mode():
        for clips in ([MIXED[0]], [MIXED[3]], MIXED):
            vectors = [
                some.eval()(some[0].preprocess(clips, prompt="find: "))["sentence_embedding"]
                for some in (model, untrimmed)
            ]
            assert torch.allclose(*vectors, atol=1e-5)
    # 0.5 s and 0.3 s are 50 and 30 frames; four more, in steps of four. The last batch has 2 s.
    assert lengths == [56, 36, 200]


ALIGNED = ["align.steps=30", "align.batch=4", "align.save_steps=10", "optim.max_steps=2"]


def test_the_aligned_projector_repeats_words(tmp_path: Path) -> None:
    """It trains alone, and an interrupted alignment ends in the same weights."""
    from safetensors.torch import load_file

    from wavrag.train.contrastive import train_retriever

    def train(out: Path, *changes: str) -> None:
        train_retriever(load_recipe("tiny", [*ALIGNED, *changes]), out, on_note=print)

    train(tmp_path / "a")
    lines = json.loads((tmp_path / "a" / "align" / "log.json").read_text())
    assert [line["align_step"] for line in lines] == [0, 10, 20, 30]
    assert lines[-1]["loss"] < lines[1]["loss"]
    assert lines[-1]["held_out"] < lines[0]["held_out"]

    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 15:
            raise StopError

    recipe = load_recipe("tiny", ALIGNED)
    with pytest.raises(StopError):
        train_retriever(recipe, tmp_path / "b", on_note=print, on_progress=stop)
    assert not (tmp_path / "b" / "align" / "projector.safetensors").exists()
    train(tmp_path / "b")
    ends = [load_file(tmp_path / name / "align/projector.safetensors") for name in "ab"]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    base = load_file(tmp_path / "a" / "base" / "model.safetensors")
    (start,) = (base[name] for name in base if name.endswith("projector.linear.weight"))
    assert not torch.equal(ends[0]["linear.weight"], start)


def test_cached_frames_are_those_of_the_model(tmp_path: Path) -> None:
    from wavrag.train.contrastive.align import encode_clips, load_with_head

    build_tiny(tmp_path, with_head=True)
    model, processor = load_with_head(str(tmp_path), torch.float32)
    clips = [sound(300, 0.5)["array"], sound(500, 1.4)["array"]]
    features = processor.feature_extractor(
        clips, sampling_rate=RATE, return_attention_mask=True, return_tensors="pt"
    )
    token = model.config.audio_token_id
    expected = []
    model.model.multi_modal_projector.register_forward_hook(
        lambda module, arguments, output: expected.append(arguments[0])
    )
    frames = encode_clips(model, processor.feature_extractor, clips)
    with torch.inference_mode():
        model.model(
            input_ids=torch.full((2, 35), token),
            attention_mask=torch.ones(2, 35, dtype=torch.long),
            input_features=features["input_features"][[1, 1]],
            feature_attention_mask=features["attention_mask"][[1, 1]],
        )
    assert [len(some) for some in frames] == [12, 35]  # 25 Hz
    assert np.allclose(frames[1], expected[0][0].numpy()[:35], atol=2e-3)


def test_the_fitted_projector_finds_the_words() -> None:
    """Frames that are a linear map of the words are mapped back, at the norms of the words."""
    from wavrag.train.contrastive.fit import fit_projector

    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(20, 6)).astype(np.float32)
    tokens = rng.integers(5, 15, 3_000)
    frames = 3 + embeddings[tokens] @ rng.normal(size=(6, 8)) + 0.1 * rng.normal(size=(3_000, 8))
    state = fit_projector(frames.astype(np.float16), tokens, torch.tensor(embeddings))
    projector = torch.nn.ModuleDict({"linear": torch.nn.Linear(8, 6)})
    projector.load_state_dict(state)
    with torch.inference_mode():
        outputs = projector["linear"](torch.tensor(frames, dtype=torch.float32)).numpy()
    distances = np.linalg.norm(outputs[:, None] - embeddings, axis=-1)
    assert (distances.argmin(1) == tokens).mean() > 0.99
    centred = [values - values.mean(0) for values in (outputs, embeddings[tokens])]
    norms = [np.linalg.norm(values, axis=1).mean() for values in centred]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    with pytest.raises(InputError, match="fit_words"):
        fit_projector(frames, np.zeros(3_000, np.int64), torch.tensor(embeddings))


def test_a_frame_has_the_token_spoken_in_it(model: Any) -> None:
    """The letters of a word, each a token here, share its time; the rest is silence."""
    from wavrag.train.contrastive.fit import align_tokens
    from wavrag.types import Clip, TimedWord

    class Aligner:
        def align(self, clip: Clip, text: str) -> tuple[TimedWord, ...]:
            return TimedWord("ab", 0.08, 0.24, 1.0), TimedWord("c", 0.28, 0.40, 1.0)

    clip = Clip(np.zeros(RATE // 2, np.float32), RATE)
    aligner: Any = Aligner()
    tokens = align_tokens(aligner, model.tokenizer, clip, "ab c", 12)
    # The second word has its space before it.
    assert model.tokenizer.convert_ids_to_tokens(tokens.tolist()) == list("ĠĠaabbĠĠccĠĠ")


def test_without_a_head_or_transcripts_there_is_no_alignment(base: Path, tmp_path: Path) -> None:
    from wavrag.train.contrastive.align import load_with_head, read_spoken

    with pytest.raises(InputError, match="head"):
        load_with_head(str(base), torch.float32)
    row = {"query": json.dumps({"audio": "a.wav"}), "positive": json.dumps({"text": "a"})}
    (tmp_path / "S2T.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match="transcript"):
        read_spoken([tmp_path / "S2T.jsonl"], 30.0)


def test_the_time_limit_ends_the_training_with_a_checkpoint(tmp_path: Path) -> None:
    from wavrag.train.contrastive import train_retriever

    recipe = load_recipe("tiny", ["optim.minutes=0.0001", "optim.epochs=1000"])
    report = train_retriever(recipe, tmp_path, on_note=print)
    assert 1 <= report["steps"] < 20
    assert (
        tmp_path / "checkpoints" / f"checkpoint-{report['steps']}" / "trainer_state.json"
    ).exists()
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_batches_are_padded_to_their_longest_recording(model: Any, tmp_path: Path) -> None:
    write_tones(tmp_path)
    reader = BatchReader(
        model,
        load_recipe(
            "tiny",
            [f"root={json.dumps(str(tmp_path))}", "augment.echo_share=0", "augment.gain_share=0"],
        ),
    )
    rows = [json.dumps({"audio": f"{WORDS[0]}-{name}.wav"}) for name in ("low", "high")]
    features = reader(rows, prompt="find: ")
    from wavrag.audio import load

    sounds = [
        {
            "audio": {
                "array": load(tmp_path / json.loads(row)["audio"]).samples,
                "sampling_rate": RATE,
            }
        }
        for row in rows
    ]
    padded = model[0].preprocess(sounds, prompt="find: ")
    assert features["input_features"].shape[-1] == 76  # 0.7 s are 70 frames
    assert padded["input_features"].shape[-1] == 200
    with torch.inference_mode():
        vectors = [model.eval()(some)["sentence_embedding"] for some in (features, padded)]
    assert torch.allclose(*vectors, atol=1e-5)


def fixed(vectors: list[list[list[float]]]) -> Any:
    """A stand-in for a model: hands out given vectors, for the arithmetic of the loss alone."""

    class Fixed(torch.nn.Module):
        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            return {"sentence_embedding": features["given"]}

    module = Fixed()
    return module, [{"given": torch.tensor(side)} for side in vectors]


def test_the_loss_is_infonce() -> None:
    # Queries (1,0) and (0,1); passages (1,0) and (0.6,0.8). Cosines:
    #   [[1.0, 0.6],
    #    [0.0, 0.8]]    over temperature 0.5: [[2, 1.2], [0, 1.6]]
    # Losses: ln(e^2 + e^1.2) - 2 = ln(1 + e^-0.8) and ln(e^0 + e^1.6) - 1.6 = ln(1 + e^-1.6).
    expected = (math.log(1 + math.exp(-0.8)) + math.log(1 + math.exp(-1.6))) / 2
    module, sides = fixed([[[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.6, 0.8]]])
    loss = contrastive_loss(module, LossOptions(temperature=0.5, gather=False))
    assert loss(sides, None).item() == pytest.approx(expected, abs=1e-6)


def test_a_hard_negative_joins_the_candidates_of_every_query() -> None:
    # As above with the negatives (0,1) and (-1,0), temperature 1. Scores of the queries against
    # passages and negatives: [1, .6, 0, -1] and [0, .8, 1, 0].
    first = math.log(math.e + math.exp(0.6) + 1 + math.exp(-1)) - 1
    second = math.log(1 + math.exp(0.8) + math.e + 1) - 0.8
    module, sides = fixed(
        [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.6, 0.8]], [[0.0, 1.0], [-1.0, 0.0]]]
    )
    loss = contrastive_loss(module, LossOptions(temperature=1.0, gather=False))
    assert loss(sides, None).item() == pytest.approx((first + second) / 2, abs=1e-6)


@pytest.mark.parametrize("size", [1, 3])
def test_gradcache_equals_the_plain_loss(model: Any, size: int) -> None:
    prepare_for_training(model, LoraOptions(dropout=0.0))
    model.eval()
    torch.manual_seed(0)
    for name, value in model.named_parameters():
        if "lora_B" in name:  # zero at first: nothing would reach the other side of the adapter
            torch.nn.init.normal_(value, std=0.1)
    values = [value for value in model.parameters() if value.requires_grad]
    results = []
    for cache in (0, size):
        sides = [model[0].preprocess(MIXED, prompt="find: ")]
        sides.append(model[0].preprocess([*TEXTS, "four", "five"], prompt="entry: "))
        loss = contrastive_loss(model, LossOptions(grad_cache=cache, gather=False))
        assert isinstance(loss, CachedSoundLoss) == bool(cache)
        model.zero_grad()
        value = loss(sides, None)
        value.backward()
        results.append((value.item(), [parameter.grad.clone() for parameter in values]))
    (plain, plain_grads), (cached, cached_grads) = results
    assert cached == pytest.approx(plain, abs=1e-5)
    assert max(grad.abs().max() for grad in plain_grads) > 1e-3
    for one, other in zip(plain_grads, cached_grads, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def test_resume_equals_a_run_without_a_break(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    shared = [
        "--recipe",
        "tiny",
        "--set",
        "optim.epochs=1",
        "--set",
        "optim.save_steps=4",
        "--json",
    ]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here("train", *shared, "--out", whole) == 0
    # What a run that was killed after step 8 leaves: a torn checkpoint beside a good one.
    shutil.copytree(whole, broken)
    for name in ("model/model.safetensors", "run.json"):
        (broken / name).unlink()
    checkpoints = sorted(
        (broken / "checkpoints").iterdir(), key=lambda p: int(p.name.split("-")[1])
    )
    steps = [int(path.name.split("-")[1]) for path in checkpoints]
    assert steps[-2:] == [8, 10]
    (checkpoints[-1] / "trainer_state.json").unlink()
    result = run("train", *shared, "--out", broken)
    assert result.returncode == 0, result.stderr
    one = load_file(whole / "model" / "model.safetensors")
    other = load_file(broken / "model" / "model.safetensors")
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_half_precision_and_checkpointing_run_on_a_cpu(tmp_path: Path) -> None:
    changes = ("optim.epochs=1", "optim.bf16=true", "optim.gradient_checkpointing=true")
    options = [part for change in changes for part in ("--set", change)]
    result = run("train", "--recipe", "tiny", *options, "--out", tmp_path, "--json")
    assert result.returncode == 0, result.stderr
    assert all(map(math.isfinite, json.loads(result.stdout)["losses"]))


def test_merged_adapters_give_the_same_vectors(model: Any) -> None:
    prepare_for_training(model, LoraOptions())
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    model.eval()
    features = model[0].preprocess(MIXED, prompt="find: ")
    with torch.inference_mode():
        before = model(dict(features))["sentence_embedding"]
        merge_adapters(model)
        after = model(dict(features))["sentence_embedding"]
    assert torch.allclose(before, after, atol=1e-5)
    assert type(network(model)).__name__ == "Qwen2AudioModel"


def test_weights_of_the_published_model_are_taken_over(base: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModel, Qwen2AudioForConditionalGeneration

    config = AutoConfig.from_pretrained(base)
    whole = Qwen2AudioForConditionalGeneration(config)
    whole.save_pretrained(tmp_path)
    for path in base.glob("*token*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for name in ("processor_config.json", "chat_template.jinja"):
        if (base / name).exists():
            (tmp_path / name).write_bytes((base / name).read_bytes())
    loaded = network(build_retriever(tmp_path, query_prompt="", passage_prompt=""))
    assert isinstance(loaded, AutoModel.from_config(config).__class__)
    theirs = dict(whole.state_dict())
    for name, value in loaded.state_dict().items():
        match = [theirs[key] for key in theirs if key.endswith(name) or _same(key, name)]
        assert len(match) == 1, name
        assert torch.equal(value, match[0]), name


def _same(key: str, name: str) -> bool:
    return key.replace("language_model.model.", "language_model.").endswith(name)


def test_recipes_of_the_package_are_whole() -> None:
    assert recipe_names() == ["paper-qwen2-audio", "paper-small", "tiny"]
    paper = load_recipe("paper-qwen2-audio")
    assert (paper.lora.rank, paper.lora.alpha, paper.lora.dropout) == (8, 32, 0.05)
    assert (paper.optim.learning_rate, paper.optim.batch) == (1e-4, 64)
    assert (paper.model.max_audio_seconds, paper.model.max_text_tokens) == (80.0, 512)
    assert (paper.augment.echo_delay, paper.augment.echo_scale) == ((0.1, 0.5), (0.0, 0.2))
    assert set(paper.weights) == {"S2T", "T2T", "S2S", "T2S", "AT2AT"}
    from wavrag.data.datasets import DATASETS

    assert {source.dataset for source in paper.data if source.dataset} <= set(DATASETS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("loss.temprature=0.1", r"unknown key `loss\.temprature`"),
        ("optimiser.batch=3", "unknown key `optimiser`"),
        ("optim.batch=many", r"`optim\.batch` is 'many', and must be a whole number"),
        ("optim.batch=1", "at least 2"),
        ("optim.bf16=1", "true or false"),
        ("loss.temperature=0", "above 0"),
        ("weights.S2X=1", "S2T"),
        ("augment.snr=[1]", "must be a list"),
        ("seed", "KEY=VALUE"),
        ("data=[]", "at least one source"),
        ("model.dtype=int4", "bfloat16"),
    ],
)
def test_a_wrong_change_names_the_key(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe("tiny", [change])


def test_a_change_is_taken_over() -> None:
    recipe = load_recipe("tiny", ["loss.temperature=0.02", "root=/some where", "data=[{path='x'}]"])
    assert recipe.loss.temperature == 0.02
    assert recipe.root == "/some where"
    assert recipe.data[0].path == "x"


def test_batches_are_shared_out_by_weight() -> None:
    assert batches_by_weight([10, 10, 20], [1, 1, 2]) == [10, 10, 20]
    assert batches_by_weight([10, 2, 0], [1, 1, 1]) == [4, 4, 4]
    assert batches_by_weight([5, 5], [0, 1]) == [0, 10]
    assert batches_by_weight([3, 4], [0, 0]) == [3, 4]
    assert batches_by_weight([1, 1, 1], [0.5, 0.25, 0.25]) == [1, 1, 1]


def test_hard_negatives_are_columns_of_their_own(tmp_path: Path) -> None:
    from wavrag.data.records import Content, TrainingRecord, write_records

    extra = TrainingRecord(
        "x", Content(text="q"), (Content(text="p"),), (Content(text="n"), Content(text="m"))
    )
    few = TrainingRecord("y", Content(text="r"), (Content(text="s"),), (Content(text="t"),))
    write_records(tmp_path / "tones" / "records.jsonl", [extra, few])
    recipe = load_recipe("tiny", [f"root={json.dumps(str(tmp_path))}", "loss.hard_negatives=2"])
    rows = write_rows(recipe, tmp_path / "rows", None)
    assert set(rows) == {"T2T", "T2T+negatives"}
    row = json.loads(rows["T2T+negatives"].read_text())
    assert [json.loads(row[f"negative_{n}"])["text"] for n in (1, 2)] == ["n", "m"]


def test_a_recording_that_is_broken_or_too_long_is_left_out(tmp_path: Path) -> None:
    from wavrag.audio import write_wav
    from wavrag.data.records import Content, TrainingRecord, write_records
    from wavrag.types import Clip

    (tmp_path / "tones").mkdir()
    write_wav(tmp_path / "tones" / "long.wav", Clip(np.zeros(5 * RATE, np.float32), RATE))
    (tmp_path / "tones" / "bad.wav").write_bytes(b"no sound")
    entries = {
        name: Content(audio=str(tmp_path / "tones" / f"{name}.wav")) for name in ("long", "bad")
    }
    records = [TrainingRecord(name, entry, (Content(text="p"),)) for name, entry in entries.items()]
    records.append(TrainingRecord("good", Content(text="q"), (Content(text="p"),)))
    write_records(tmp_path / "tones" / "records.jsonl", records)
    recipe = load_recipe("tiny", [f"root={json.dumps(str(tmp_path))}"])
    notes: list[str] = []
    rows = write_rows(recipe, tmp_path / "rows", notes.append)
    assert list(rows) == ["T2T"]
    assert [note.split(" is left out")[0] for note in notes] == ["record 'long'", "record 'bad'"]
    assert "lasts 5.0 s, and the model takes at most 4 s" in notes[0]
    with pytest.raises(InputError, match="long"):
        write_rows(recipe, tmp_path / "rows", None)


def test_augmentation_depends_on_seed_epoch_and_entry_only(model: Any, tmp_path: Path) -> None:
    write_tones(tmp_path / "tones")
    recipe = load_recipe(
        "tiny", [f"root={json.dumps(str(tmp_path))}", "augment.gain_share=1", "augment.noise=tones",
                 "augment.noise_share=1"],
    )  # fmt: skip
    rows = [json.dumps({"audio": "tones/oak-low.wav"})]

    def heard(reader: BatchReader, epoch: int) -> Any:
        reader.epoch = epoch
        return reader(rows, prompt="find: ")["input_features"]

    one, other = BatchReader(model, recipe), BatchReader(model, recipe)
    assert torch.equal(heard(one, 0), heard(other, 0))
    assert not torch.equal(heard(one, 0), heard(one, 1))


def test_a_text_of_too_many_tokens_is_cut_and_counted(model: Any) -> None:
    recipe = load_recipe("tiny", ["model.max_text_tokens=6"])
    reader = BatchReader(model, recipe)
    # The tokenizer is of bytes: three of them are one Chinese character.
    lengths = [
        len(reader([json.dumps({"text": text})])["input_ids"][0]) for text in ("你好", "你好吗")
    ]
    assert lengths == [7, 7], "six tokens and the end"
    assert reader.cut["texts"] == 1


def test_a_folder_without_noise_is_an_error(model: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    changes = [f"root={json.dumps(str(tmp_path))}", "augment.noise=empty"]
    with pytest.raises(InputError, match="holds no recordings of noise"):
        BatchReader(model, load_recipe("tiny", changes))


def test_another_recipe_does_not_go_on_in_the_same_folder(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here("train", "--recipe", "tiny", "--set", "seed=1", "--out", trained) == 1
    assert "another recipe" in capsys.readouterr().err


def test_a_base_of_another_architecture_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    changes = ("--set", f"model.base={tmp_path}")
    assert run_here("train", "--recipe", "tiny", *changes, "--out", tmp_path / "o") == 1
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["train", "--out", "runs"], ["train", "--recipe", "tiny"]],
    ids=["no recipe", "no folder"],
)
def test_what_is_missing_on_the_command_line_is_named(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(*arguments) == 2
    error = capsys.readouterr().err
    assert "--recipe" in error or "--out" in error


def test_without_the_extra_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wavrag.cli.train.find_spec", lambda name: None)
    assert main(["train", "--recipe", "tiny", "--out", str(tmp_path)]) == 1
    assert "wavrag[train]" in capsys.readouterr().err
