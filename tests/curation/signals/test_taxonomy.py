"""Three layers, seven groups, 25 kinds; severity rises at 1, 3 and 5."""

import numpy as np

from milepost.curation.signals import taxonomy


def test_the_taxonomy_is_that_of_the_paper():
    groups = [group for layer in taxonomy.LAYERS.values() for group in layer]
    assert len(taxonomy.LAYERS) == 3
    assert groups == list(taxonomy.GROUPS)
    assert len(taxonomy.KINDS) == len(set(taxonomy.KINDS)) == 25
    assert [list(taxonomy.GROUPS)[g] for g in taxonomy.GROUP_OF] == [g for g in groups for _ in taxonomy.GROUPS[g]]


def test_severity():
    assert taxonomy.severity(np.arange(8)).tolist() == [0, 1, 1, 2, 2, 3, 3, 3]
