"""Make the embedded language model: a character model of 0.65 million parameters that knows a few tasks imperfectly.

It writes the tokenizer, the configuration and the weights (bfloat16, safetensors, 1.3 MB) of
`src/milepost/policies/embedded/`, and prints how well the model samples. One thread and one key, so the same machine
and versions give the same bytes; it takes about 15 minutes of one processor core and no network.

    python scripts/make_embedded.py [--out FOLDER] [--steps N]
"""
# ruff: noqa: INP001, T201 - a script: it is run, not imported, and it prints

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import reasoning_gym
import torch
import transformers
from demonstrations import DEMONSTRATIONS, OPTIONS
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional

from milepost import keys
from milepost.environments.reasoning import FIRST_SEED, is_held_out

OUT = Path(__file__).parent.parent / "src" / "milepost" / "policies" / "embedded"
ROOT = keys.fold(keys.root(0), "embedded model")
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
PAD, BOS, EOS, UNK = range(len(SPECIAL))
CHARACTERS = (*map(chr, range(32, 127)), "\n")
VOCABULARY = {piece: number for number, piece in enumerate((*SPECIAL, *CHARACTERS))}
SEEDS = 100_000
END = "/answer>"
"""What follows the answer is the same everywhere, so most examples leave it out."""
MATRIX_RATE, OTHER_RATE, WARM_UP = 0.02, 0.002, 20


@dataclass(frozen=True, kw_only=True)
class Course:
    """How one task is taught: demonstrations per step, their share of the loss, and slips in the careless part."""

    generator: str
    batch: int
    share: float
    slip: float
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Settings that differ from those the model is meant for."""


COURSES = (
    Course(generator="chain_sum", batch=40, share=0.15, slip=0.2),
    Course(generator="chain_sum", batch=72, share=0.3, slip=0.2, options={"min_digits": 2}),
    Course(generator="countdown", batch=24, share=0.15, slip=0.15),
    Course(generator="spell_backward", batch=8, share=0.1, slip=0.15),
    Course(generator="letter_counting", batch=12, share=0.15, slip=0.15),
    Course(generator="word_sorting", batch=16, share=0.15, slip=0.25),
)
CARELESS_FROM = 0.8
"""Part of the steps after which demonstrations hold slips: the model first learns the skill, then how often to fail."""
CARELESS_RATE = 0.1
"""Learning rate in the careless part, as a share of the highest: it falls to this on the way there."""
FULL_FROM = 0.6
"""Part of the steps after which countdown's long instructions are shown in full, and fewer of them."""


# ---- what is learned from ----


@dataclass(kw_only=True)
class Example:
    """Token ids, and where the answer starts."""

    ids: list[int]
    start: int


def encode(text: str) -> list[int]:
    """Character numbers of a text."""
    return [VOCABULARY.get(character, UNK) for character in text]


@dataclass(kw_only=True)
class Stream:
    """An endless stream of batches of one task, each of similar length."""

    course: Course
    tasks: Iterator[Any]
    seen: int = 0
    ready: list[list[Example]] = field(default_factory=list)

    @staticmethod
    def of(course: Course) -> Stream:
        """Open the stream on the demonstration side of the split."""
        options = {**OPTIONS[course.generator], **course.options}
        data = reasoning_gym.create_dataset(course.generator, seed=FIRST_SEED["demonstration"], size=SEEDS, **options)
        items = (data[place] for place in cycle(range(SEEDS)))
        return Stream(course=course, tasks=(item for item in items if not is_held_out(item["question"])))

    @property
    def key(self) -> int:
        """Key of what is drawn next."""
        return keys.fold(ROOT, "stream", self.course.generator, self.course.batch, self.seen)

    def next(self, progress: float) -> list[Example]:
        """Return the batch for a point of the training, in [0, 1)."""
        if not self.ready:
            size = self.course.batch // (3 if self.shows_instructions(progress) else 1)
            pool = sorted((self.example(progress) for _ in range(8 * size)), key=self._likeness)
            self.ready = [pool[first : first + size] for first in range(0, len(pool), size)]
            order = keys.generator(self.key).permutation(8)
            self.ready = [self.ready[place] for place in order]
        return self.ready.pop()

    def shows_instructions(self, progress: float) -> bool:
        """Whether questions have come to be much longer than in the beginning."""
        return self.course.generator == "countdown" and progress >= FULL_FROM

    def _likeness(self, example: Example) -> tuple[list[int], int]:
        """Sorts questions with a long common beginning together, then by length."""
        return (example.ids[180:200] if self.course.generator == "word_sorting" else []), len(example.ids)

    def example(self, progress: float) -> Example:
        """Return the next question with a worked answer."""
        record = next(self.tasks)
        draw = keys.generator(self.key)
        self.seen += 1
        question = record["question"]
        if self.course.generator == "countdown" and not self.shows_instructions(progress):
            head = question.index("Final answer format")
            cut = int(draw.integers(head, len(question))) if draw.random() < progress else len(question)
            question = question[:head] + question[cut:]
        slip = self.course.slip if progress >= CARELESS_FROM else 0.0
        answer = DEMONSTRATIONS[self.course.generator](record, draw, slip)
        whole = [*encode(answer), EOS]
        if draw.random() < 7 / 8:
            whole = whole[: -len(END) - 1]
        prompt = [BOS, *encode(question + "\n")]
        return Example(ids=prompt + whole, start=len(prompt))


# ---- how it is learned ----


def initial_model() -> Any:
    """Return the untrained model, with weights drawn from a key."""
    config = transformers.LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=128,
        num_hidden_layers=3,
        intermediate_size=384,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    model = transformers.LlamaForCausalLM(config)
    deep = 1 / math.sqrt(2 * config.num_hidden_layers)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() < 2:
                value.fill_(1.0)
                continue
            noise = torch.from_numpy(keys.generator(keys.fold(ROOT, "weights", name)).standard_normal(value.shape))
            scale = 0.02 if "embed" in name else 0.5 / math.sqrt(value.shape[1])
            value.copy_(noise * scale * (deep if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0))
    return model


def common_length(examples: list[Example]) -> int:
    """Number of first tokens that all prompts share."""
    limit, first = min(example.start for example in examples) - 1, examples[0].ids
    return next((at for at in range(limit) if any(one.ids[at] != first[at] for one in examples)), limit)


def loss_of(model: Any, examples: list[Example]) -> Tensor:
    """Mean negative log-likelihood of the answers; what all prompts share is read once."""
    shared, cache = common_length(examples), None
    if shared >= 8:
        cache = model(input_ids=torch.tensor([examples[0].ids[:shared]]), use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(examples))
    else:
        shared = 0
    width = max(len(one.ids) for one in examples) - shared
    ids = torch.full((len(examples), width), PAD)
    target = torch.full((len(examples), width), -100)
    for row, one in enumerate(examples):
        ids[row, : len(one.ids) - shared] = torch.tensor(one.ids[shared:])
        target[row, one.start - shared : len(one.ids) - shared] = torch.tensor(one.ids[one.start :])
    position = torch.arange(shared, shared + width).unsqueeze(0)
    out = model(input_ids=ids, position_ids=position, past_key_values=cache, use_cache=cache is not None)
    return functional.cross_entropy(out.logits[:, :-1].flatten(0, 1), target[:, 1:].flatten(), ignore_index=-100)


def pace(step: int, steps: int) -> float:
    """Learning rate as a share of the highest: up, down to that of the careless part, and to 0 in the end."""
    left = 1.0 - step / steps
    careless = 1.0 - CARELESS_FROM
    down = CARELESS_RATE + (1.0 - CARELESS_RATE) * (left - careless) / (1.0 - careless)
    return min(1.0, (step + 1) / WARM_UP) * (down if left > careless else CARELESS_RATE * left / careless)


def train(model: Any, steps: int) -> None:
    """Teach all tasks at once: Muon on matrices, AdamW on the rest, the rate falls to 0."""
    named = dict(model.named_parameters())
    matrices = [value for name, value in named.items() if value.dim() == 2 and "embed" not in name]
    others = [value for name, value in named.items() if value.dim() < 2 or "embed" in name]
    optimisers = (
        (torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.0), MATRIX_RATE),
        (torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0), OTHER_RATE),
    )
    streams = [Stream.of(course) for course in COURSES]
    started = time.process_time()
    for step in range(steps):
        losses = list[float]()
        for stream in streams:
            loss = loss_of(model, stream.next(step / steps))
            (stream.course.share * loss).backward()
            losses.append(round(loss.item(), 3))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser, rate in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * pace(step, steps)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        if (step + 1) % 50 == 0 or step + 1 == steps:
            print(f"step {step + 1}  processor {time.process_time() - started:.0f} s  loss {losses}", flush=True)


# ---- what is written ----


def write_tokenizer(folder: Path) -> None:
    """Write the character tokenizer, usable with `AutoTokenizer.from_pretrained`."""
    inner = Tokenizer(models.WordLevel(VOCABULARY, unk_token=SPECIAL[UNK]))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    inner.decoder = decoders.Fuse()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=SPECIAL[PAD],
        bos_token=SPECIAL[BOS],
        eos_token=SPECIAL[EOS],
        unk_token=SPECIAL[UNK],
        model_max_length=1024,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


def write(model: Any, folder: Path) -> None:
    """Write tokenizer, configuration and weights."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    size = sum(value.numel() for value in model.parameters())
    print(f"{size} parameters, {sum(file.stat().st_size for file in folder.iterdir())} bytes in {folder}")


def main() -> None:
    """Train, write, and say how well the result samples."""
    parser = argparse.ArgumentParser(description="Make the embedded language model.")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--steps", type=int, default=1000)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = initial_model()
    train(model, chosen.steps)
    write(model, chosen.out)


if __name__ == "__main__":
    main()
