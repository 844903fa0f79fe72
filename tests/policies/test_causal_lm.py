"""The language-model policy: answers depend on prefix and key alone, log-probabilities and gradients are exact."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from milepost import keys
from milepost.columns import End, Role
from milepost.errors import ColumnError, ResumeError
from milepost.forest import Forest
from milepost.part import Observation
from milepost.policies import causal_lm, loading
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding
from milepost.ragged import Ragged
from tests.policies.conftest import KEY, row_keys, small_model

PROMPTS = ["12 + 7 =", "Spell cat backward:", "?", "Count the letter a in banana and in apple"]
ROWS = torch.arange(4).repeat_interleave(3)


def answers(proposals) -> list[list[int]]:
    ids = proposals.columns["tokens.id"]
    return [ids[row].tolist() for row in range(len(ids))]


def plain_log_prob(policy: CausalLM, forest: Forest, row: int) -> torch.Tensor:
    """Log-probability of a row's tokens by one pass over its whole path, without any cache: the oracle."""
    tokens = forest.ragged("tokens.id")
    path = torch.cat([tokens[one] for one in forest.path(row).tolist()]).long()
    logits = policy.model(input_ids=path.unsqueeze(0), use_cache=False).logits[0].double()
    own = len(tokens[row])
    scaled = (logits[-own - 1 : -1] / policy.decoding.temperature).log_softmax(-1)
    return scaled.gather(-1, path[-own:].unsqueeze(-1)).squeeze(-1)


# ---- encoding ----


def test_prompts_are_not_trained_on(policy, asked):
    forest = asked(policy, PROMPTS)
    assert set(forest["tokens.role"].tolist()) == {int(Role.PROMPT)}
    assert not bool(forest["tokens.train"].any())
    seen = policy.encode([Observation(text="ok")], start=False)
    assert set(seen["tokens.role"].values.tolist()) == {int(Role.OBSERVATION)}


# ---- what is written does not depend on the company ----


def test_order_of_rows_does_not_matter(policy, asked):
    forest, drawn = asked(policy, PROMPTS), row_keys(ROWS)
    straight = answers(policy.propose(forest, ROWS, drawn))
    order = torch.from_numpy(keys.generator(KEY).permutation(len(ROWS)))
    mixed = answers(policy.propose(forest, ROWS[order], drawn[order]))
    assert mixed == [straight[place] for place in order.tolist()]
    assert len({tuple(answer) for answer in straight}) == len(ROWS)


@pytest.mark.parametrize("cut", [1, 5, 11])
def test_splitting_and_enlarging_the_batch_does_not_matter(policy, asked, cut):
    forest, drawn = asked(policy, PROMPTS), row_keys(ROWS)
    whole = answers(policy.propose(forest, ROWS, drawn))
    parts = [slice(0, cut), slice(cut, None)]
    split = [answer for part in parts for answer in answers(policy.propose(forest, ROWS[part], drawn[part]))]
    assert split == whole


def test_a_small_memory_does_not_matter(policy, asked, monkeypatch):
    forest, drawn = asked(policy, PROMPTS), row_keys(ROWS)
    whole = policy.propose(forest, ROWS, drawn)
    monkeypatch.setattr(causal_lm, "CACHED_AT_ONCE", 1)  # one row at a time
    parts = policy.propose(forest, ROWS, drawn)
    assert answers(parts) == answers(whole)
    assert parts.columns["text"] == whole.columns["text"]


def test_other_tasks_in_the_forest_do_not_matter(policy, asked):
    drawn = row_keys(torch.tensor([0, 0, 0]))
    alone = answers(policy.propose(asked(policy, PROMPTS[1:2]), torch.tensor([0, 0, 0]), drawn))
    among = answers(policy.propose(asked(policy, PROMPTS), torch.tensor([1, 1, 1]), drawn))
    assert alone == among


def test_threads_write_what_one_thread_writes(policy, asked):
    forest, drawn = asked(policy, PROMPTS), row_keys(ROWS)
    whole = answers(policy.propose(forest, ROWS, drawn))
    fresh = CausalLM(model=small_model(), tokenizer=policy.tokenizer, decoding=policy.decoding)
    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(
            lambda row: answers(fresh.propose(forest, ROWS[row : row + 1], drawn[row : row + 1])), range(12)
        )
    assert [answer for part in parts for answer in part] == whole


def test_another_key_writes_something_else(policy, asked):
    forest = asked(policy, PROMPTS)
    assert answers(policy.propose(forest, ROWS, row_keys(ROWS))) != answers(
        policy.propose(forest, ROWS, row_keys(ROWS, 1))
    )


# ---- what is recorded ----


def test_columns_of_an_answer(policy, asked):
    forest = asked(policy, PROMPTS)
    found = policy.propose(forest, ROWS, row_keys(ROWS))
    ids = found.columns["tokens.id"]
    assert torch.equal(found.parent, ROWS)
    assert set(found.columns["tokens.role"].values.tolist()) == {int(Role.POLICY)}
    assert bool(found.columns["tokens.train"].values.all())
    assert found.columns["cost.tokens"].tolist() == ids.lengths.tolist()
    ended = [2 in answer for answer in answers(found)]
    assert found.columns["end"].tolist() == [int(End.OPEN if one else End.TOKEN_LIMIT) for one in ended]
    texts = [policy.tokenizer.decode(answer, skip_special_tokens=True) for answer in answers(found)]
    assert found.columns["text"] == texts


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-5), (torch.bfloat16, 0.4)], ids=str
)
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_recorded_log_probabilities_agree_with_a_fresh_pass(tokenizer, asked, answered, dtype, tolerance, temperature):
    decoding = Decoding(max_tokens=12, temperature=temperature, top_p=0.9)
    policy = CausalLM(model=small_model().to(dtype), tokenizer=tokenizer, decoding=decoding)
    forest = answered(policy, asked(policy, PROMPTS), ROWS)
    recorded = forest.ragged("tokens.log_prob")
    for row in range(4, 16):
        with torch.no_grad():
            exact = plain_log_prob(policy, forest, row)
        assert float((recorded[row] - exact).abs().max()) <= tolerance


def test_the_nucleus_does_not_enter_the_log_probability(policy, asked, answered):
    forest = answered(policy.greedy(), asked(policy, PROMPTS), torch.arange(4))
    assert bool((forest["tokens.log_prob"][forest["tokens.train"]] < -0.01).any())


@pytest.mark.statistical
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.8)])
def test_first_tokens_have_the_models_probabilities(tokenizer, asked, temperature, top_p):
    count = 4000
    policy = CausalLM(
        model=small_model(),
        tokenizer=tokenizer,
        decoding=Decoding(max_tokens=1, temperature=temperature, top_p=top_p),
    )
    forest = asked(policy, PROMPTS[:1])
    drawn = torch.tensor([keys.fold(KEY, "first", number) for number in range(count)])
    found = policy.propose(forest, torch.zeros(count, dtype=torch.int64), drawn).columns["tokens.id"].values.long()
    with torch.no_grad():
        logits = policy.model(input_ids=forest["tokens.id"].long().unsqueeze(0)).logits[0, -1]
    exact = (logits.double() / temperature).softmax(-1)
    order = exact.argsort(descending=True)
    kept = order[: int((exact[order].cumsum(0) < top_p).sum()) + 1]
    limited = torch.zeros_like(exact).index_copy(0, kept, exact[kept] / exact[kept].sum())
    share = torch.bincount(found, minlength=100).double() / count
    assert bool(((share - limited).abs() <= 5 * (limited * (1 - limited) / count).sqrt() + 1e-9).all())


# ---- log-probabilities and gradients ----


def grown(policy, asked, answered) -> Forest:
    """Two turns: answers, an observation behind some of them, and answers below those."""
    first = answered(policy, asked(policy, PROMPTS), ROWS)
    tokens, seen = first.ragged("tokens.id"), policy.encode([Observation(text="so?")], start=False)
    extra = seen["tokens.id"].values
    ids, roles, train, values = [], [], [], []
    for row in range(len(first)):
        added = extra if row in (5, 9) else extra[:0]
        ids.append(torch.cat((tokens[row], added)))
        roles.append(torch.cat((first.ragged("tokens.role")[row], torch.full_like(added, int(Role.OBSERVATION)))))
        train.append(torch.cat((first.ragged("tokens.train")[row], torch.zeros(len(added), dtype=torch.bool))))
        values.append(torch.cat((first.ragged("tokens.log_prob")[row], torch.zeros(len(added)))))
    forest = Forest.of(
        first.parent,
        {
            "tokens.id": Ragged.of(ids, torch.int32),
            "tokens.role": Ragged.of(roles, torch.int8),
            "tokens.train": Ragged.of(train, torch.bool),
            "tokens.log_prob": Ragged.of(values, torch.float32),
        },
    )
    return answered(policy, forest, torch.tensor([5, 5, 9, 9, 9]))


def test_shared_prefixes_change_neither_values_nor_gradients(policy, asked, answered):
    forest = grown(policy, asked, answered)
    weight = torch.from_numpy(keys.normal([KEY], (len(forest["tokens.id"]),))[0]).float()
    shared = policy.log_prob(forest, torch.arange(len(forest)))
    (shared * weight).sum().backward()
    gradient = {name: value.grad.clone() for name, value in policy.trainable().items()}
    policy.model.zero_grad()
    repeated = torch.zeros_like(shared)
    for row in range(4, len(forest)):
        start, end = int(forest.token_offsets[row]), int(forest.token_offsets[row + 1])
        written = forest["tokens.role"][start:end] == int(Role.POLICY)
        found = plain_log_prob(policy, forest, row).float().where(written, 0)
        repeated[start:end] = found.detach()
        (found * weight[start:end]).sum().backward()
    torch.testing.assert_close(shared.detach(), repeated, atol=1e-5, rtol=1e-5)
    for name, value in policy.trainable().items():
        error = float((gradient[name] - value.grad).norm() / value.grad.norm())
        assert error < 1e-5, f"{name}: {error}"


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_recorded_and_recomputed_agree_in_every_turn(model, tokenizer, asked, answered, temperature):
    decoding = Decoding(max_tokens=12, temperature=temperature)
    policy = CausalLM(model=model, tokenizer=tokenizer, decoding=decoding)
    forest = grown(policy, asked, answered)
    again = policy.log_prob(forest, torch.arange(len(forest)))
    written = forest["tokens.role"] == int(Role.POLICY)
    assert bool((again[~written] == 0).all())
    torch.testing.assert_close(again[written], forest["tokens.log_prob"][written], atol=2e-5, rtol=0)


def test_a_small_token_budget_changes_nothing(policy, asked, answered, monkeypatch):
    forest = grown(policy, asked, answered)
    whole = policy.log_prob(forest, torch.arange(len(forest)))
    monkeypatch.setattr(CausalLM, "tokens_at_once", 30)
    torch.testing.assert_close(policy.log_prob(forest, torch.arange(len(forest))), whole, atol=1e-5, rtol=0)


def test_values_come_in_the_order_of_the_rows(policy, asked, answered):
    forest = answered(policy, asked(policy, PROMPTS), ROWS)
    rows = torch.tensor([9, 4, 15, 2])
    found = policy.log_prob(forest, rows)
    expected = [plain_log_prob(policy, forest, row).float() for row in (9, 4, 15)]
    size = len(forest.ragged("tokens.id")[2])
    torch.testing.assert_close(found, torch.cat([*expected, torch.zeros(size)]), atol=1e-5, rtol=0)


def test_prompts_alone_have_no_log_probability(policy, asked):
    forest = asked(policy, PROMPTS)
    assert bool((policy.log_prob(forest, torch.arange(4)) == 0).all())


def test_forests_without_tokens_or_prompts_are_refused(policy):
    with pytest.raises(ColumnError, match="needs token columns"):
        policy.log_prob(Forest.of([-1]), torch.tensor([0]))
    tokens = Ragged.of([[5, 6]], torch.int32)
    roles = Ragged.of([[int(Role.POLICY)] * 2], torch.int8)
    with pytest.raises(ColumnError, match="Row 0 is a root with tokens of the policy"):
        policy.log_prob(Forest.of([-1], {"tokens.id": tokens, "tokens.role": roles}), torch.tensor([0]))


# ---- learning ----


def test_following_the_gradient_makes_an_answer_likelier(policy, asked, answered):
    forest = answered(policy, asked(policy, PROMPTS), ROWS)
    rows = torch.tensor([4])
    optimiser = torch.optim.Adam(policy.trainable().values(), lr=1e-2)
    before = policy.log_prob(forest, rows).sum().item()
    for _ in range(5):
        optimiser.zero_grad()
        (-policy.log_prob(forest, rows).sum()).backward()
        optimiser.step()
    assert policy.log_prob(forest, rows).sum().item() > before + 1


def test_weights_and_version_are_restored(policy, tokenizer, asked):
    kept = {name: value.detach().clone() for name, value in policy.trainable().items()}
    other = CausalLM(model=small_model(), tokenizer=tokenizer, decoding=policy.decoding)
    with torch.no_grad():
        for value in other.trainable().values():
            value.add_(0.1)
    other.restore(kept, 7)
    other.advance()
    assert other.version == 8
    forest = asked(policy, PROMPTS)
    assert answers(other.propose(forest, ROWS, row_keys(ROWS))) == answers(policy.propose(forest, ROWS, row_keys(ROWS)))


def test_weights_of_another_model_are_refused(policy):
    kept = dict(policy.trainable())
    kept["stranger"] = kept.pop(next(iter(kept)))
    with pytest.raises(ResumeError, match="do not fit"):
        policy.restore(kept, 1)


def test_adapters_alone_are_trained(tokenizer, asked, answered):
    policy = CausalLM(
        model=loading.with_adapters(small_model(), 2, KEY), tokenizer=tokenizer, decoding=Decoding(max_tokens=8)
    )
    assert all("lora_" in name for name in policy.trainable())
    frozen = {name: value.clone() for name, value in policy.model.named_parameters() if not value.requires_grad}
    forest = answered(policy, asked(policy, PROMPTS), ROWS)
    optimiser = torch.optim.Adam(policy.trainable().values(), lr=1e-2)
    before = policy.log_prob(forest, torch.arange(len(forest))).detach()
    torch.testing.assert_close(before[forest["tokens.train"]], forest["tokens.log_prob"][forest["tokens.train"]])
    for _ in range(2):  # the first step moves B only, which starts at 0
        optimiser.zero_grad()
        policy.log_prob(forest, torch.arange(4, 8)).sum().backward()
        optimiser.step()
    assert all(torch.equal(value, frozen[name]) for name, value in policy.model.named_parameters() if name in frozen)
    assert (policy.log_prob(forest, torch.arange(len(forest))) - before).abs().max().item() > 1e-3


# ---- the embedded model ----


def test_the_embedded_model_knows_its_tasks_imperfectly(asked):
    policy = loading.load("embedded", decoding=Decoding(stop=("</answer>",)))
    questions = {f"State the final answer to the following arithmetic problem: {a} + {b} =": a + b
                 for a, b in [(3, 4), (9, 8), (6, 5), (2, 7), (1, 8), (7, 7), (4, 9), (5, 5)]}  # fmt: skip
    forest = asked(policy, list(questions))
    rows = torch.arange(len(questions)).repeat_interleave(8)
    found = policy.propose(forest, rows, row_keys(rows))
    right = [text.endswith(f"<answer>{list(questions.values())[row]}</answer>") for text, row in
             zip(found.columns["text"], rows.tolist(), strict=True)]  # fmt: skip
    assert 0.2 < sum(right) / len(right) < 0.95
    assert set(found.columns["end"].tolist()) == {int(End.OPEN)}
    forest = forest.append(found.parent, found.columns)
    with torch.no_grad():
        again = policy.log_prob(forest, torch.arange(len(forest)))
    trained = forest["tokens.train"]
    assert float((again - forest["tokens.log_prob"])[trained].abs().max()) < 1e-5
