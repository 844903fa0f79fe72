"""Programs of a study: the model's, one after feedback, and one without a goal."""

import torch

from milepost.environments.manipulation.cards import card, sentence
from milepost.jail.levels import opened
from milepost.rewards.written.prompt import Round
from milepost.rewards.written.source import Source
from milepost.rewards.written.template import Template
from milepost.rewards.written.writing import Writer


class Rest:
    seen, taken = torch.rand(4, 39, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 4)


def test_programs_by_arm():
    first = Round(source="x = 1", behaviour="It rests at the handle.", wish="add the goal term")
    writer = Writer(chat=Template(terms=("reach",)), jail=opened("process"))
    source = Source(writer=writer, card=card(), sentence=sentence, feedback={"after feedback": first})
    found = source.write("drawer-close", Rest(), 0)
    assert list(found) == ["written", "after feedback", "without a goal"]
    assert "goal.position" not in found["written"].source
    assert "goal.position" in found["after feedback"].source
    assert len(found["after feedback"].lineage) == 2
    assert "add the goal term" in source.told(found["after feedback"])
    values, clamped = source.score(found["without a goal"], [Rest()])
    reach = (Rest.seen[:, :3] - Rest.seen[:, 4:7]).norm(dim=1)
    torch.testing.assert_close(values[0], -reach)
    assert clamped == 0
    assert source.auc(torch.tensor([1.0, 0.0]), torch.tensor([True, False])) == 1.0
