"""The tiny pipelines, made once for all tests of this folder; no test changes their weights."""

import pytest

from milepost.testing import pipelines


@pytest.fixture(scope="session")
def stable_diffusion():
    return pipelines.stable_diffusion_3()


@pytest.fixture(scope="session")
def flux():
    return pipelines.flux()


@pytest.fixture(params=["stable_diffusion", "flux"])
def pipe(request):
    return request.getfixturevalue(request.param)
