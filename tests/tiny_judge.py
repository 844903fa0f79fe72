"""A judge of 10,000 weights, made in a second: a transformer that has learnt to end every reply with a verdict."""

import json
import shutil

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from milepost.policies.loading import EMBEDDED

TEMPLATE = "{{ bos_token }}{{ messages[-1]['content'] | length % 3 }} "
"""What the model sees of a conversation: how long the last message is, modulo 3, so that verdicts differ."""
WORDS = ("-1", "0", "1")


def reply_to(length):
    """What it says to a message of that many characters."""
    return f"So.\n<verdict>{WORDS[length % 3]}</verdict>"


def make(folder):
    """Train the model and save it where a server can load it; returns the folder."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(EMBEDDED)
    texts = [f"{tokenizer.bos_token}{rest} {reply_to(rest)}{tokenizer.eos_token}" for rest in range(3)]
    rows = tokenizer(texts, add_special_tokens=False, padding=True, padding_side="right", return_tensors="pt")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model, draw = LlamaForCausalLM(config), torch.Generator().manual_seed(0)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.02, generator=draw)
    labels = rows.input_ids.where(rows.attention_mask.bool(), -100)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        loss = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(EMBEDDED / name, folder / name)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "chat_template": TEMPLATE}))
    return folder
