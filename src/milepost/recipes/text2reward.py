"""Text2Reward: a model writes a dense reward as a program from a task in a sentence."""

from milepost.environments.manipulation.arm import LinearStage
from milepost.environments.manipulation.cards import card, sentence
from milepost.environments.manipulation.probes import Probes
from milepost.evaluation.written.experiment import Study
from milepost.jail.levels import opened
from milepost.policies import named_chat
from milepost.policies.search.cross_entropy import CrossEntropy
from milepost.recipe import Card, Evaluate
from milepost.rewards.judging.record import cached
from milepost.rewards.written.examples import read
from milepost.rewards.written.source import Source
from milepost.rewards.written.template import Template
from milepost.rewards.written.writing import Writer

CARD = Card(
    title="Text2Reward: dense reward programs from a sentence",
    paper="arXiv:2309.11489",
    year=2023,
    domains=("control",),
    job="evaluate",
    summary="Has a model write a dense reward as a program from a task in a sentence, runs it in a jail, trains on it.",
    parts={
        "card": "the environment as typed Python classes, with units and ranges that are checked against the simulator",
        "writer": "prompt, first fenced block, screening, a trial in the jail, the error back to the model, five tries",
        "binding": "proxy objects with the card's names, in place of replaced text",
        "triage": "AUC of the mean reward for success, on experts, near misses and disturbed experts",
        "policy": "a linear rule by the cross-entropy method; episodes never end at a success",
        "compared": "the environment's own dense reward, success alone, and a program without a goal",
    },
    claims={
        "hostile programs are refused or end in the jail": "tests/recipes/test_text2reward.py::"
        "test_hostile_programs_are_refused",
        "binding is rewriting": "tests/programs/test_binding.py::test_binding_is_rewriting",
        "the card's ranges are those of the simulator": "tests/recipes/test_text2reward.py::test_card_truth",
        "AUC is not sufficient": "tests/recipes/test_text2reward.py::test_auc_is_necessary_and_not_sufficient",
        "it teaches a new gait": "tests/recipes/test_text2reward.py::test_a_program_teaches_to_run_backward",
        "scale and constant keep a ranking, ends do not": "tests/recipes/test_text2reward.py::"
        "test_a_constant_matters_where_episodes_end",
        "a potential keeps the best policy": "tests/recipes/test_text2reward.py::"
        "test_a_potential_keeps_the_best_policy_and_a_raw_bonus_does_not",
        "the dense program trains where success alone does not": "tests/recipes/test_text2reward.py::"
        "test_a_dense_program_trains",
        "a round of feedback repairs a program": "tests/recipes/test_text2reward.py::test_a_round_of_feedback",
    },
    departs=(
        "proxies, not replaced text: a name that begins like another one cannot be spoilt",
        "a linear rule by search in place of SAC with 3 x 256 numbers: minutes on a processor, and easy tasks only",
        "programs are screened and run in the jail; what is not finite counts as -10 and is counted",
        "the writer by default fills a template: name a model with --chat; --examples goes by words alike",
    ),
    advice=(
        "Look at the success, not at the reward: a program may rank probes rightly and teach nothing.",
        "Record replies once (--record FILE), and repeat the run without a model.",
    ),
    bibtex="@inproceedings{xie2024text2reward, title={Text2Reward: Reward Shaping with Language Models for "
    "Reinforcement Learning}, author={Xie, Tianbao and Zhao, Siheng and Wu, Chen Henry and Liu, Yitao and Luo, Qian "
    "and Zhong, Victor and Yang, Yanchao and Yu, Tao}, booktitle={ICLR}, year={2024}, eprint={2309.11489}, "
    "archivePrefix={arXiv}}",
)


def build(
    *,
    tasks: tuple[str, ...] = ("reach", "handle-press", "coffee-button", "drawer-close", "window-open"),
    repeats: int = 1,  # probes, programs and trainings per task
    chat: str = "template",  # what writes: "template", a model's address such as http://host:port/v1#name, a model here
    examples: str = "",  # file of solved tasks, lines of JSON with task and program: the one most alike is shown
    record: str = "",  # file of replies: they are kept there; with --chat NAME and a kept reply nobody is asked
    generations: int = 10,  # of the search, 12 rules each
    jail: str = "process",  # level at which programs run
) -> Evaluate:
    """Build the job; all arms have the same probes, starts and draws."""
    model = Template() if chat == "template" else named_chat.chat(chat)
    writer = Writer(chat=cached(model, record), jail=opened(jail), examples=read(examples))
    climb = CrossEntropy(generations=generations, population=12)
    rewards = Source(writer=writer, card=card(), sentence=sentence)
    study = Study(rewards=rewards, probes=Probes(), stage=LinearStage(), climb=climb)
    return Evaluate(tasks=tasks, experiment=study, repeats=repeats)
