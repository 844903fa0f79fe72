"""Being connected, and every piece of work exactly once."""

import re
import socket

import pytest

from milepost.engines.on_ray import cluster as clusters
from milepost.engines.on_ray.cluster import cluster, mapped
from milepost.errors import MilepostError, SettingError

pytestmark = pytest.mark.trainers


def doubled(row):
    if row["x"] == 13:
        raise SettingError("thirteen is not welcome")
    return {"y": 2 * row["x"]}


def test_every_row_once_and_in_order(ray):
    assert [row["y"] for row in mapped(doubled, [{"x": x} for x in range(8)])] == [2 * x for x in range(8)]
    assert mapped(doubled, []) == []


def test_our_errors_keep_their_words_and_their_kind(ray):
    with pytest.raises(SettingError, match="thirteen is not welcome"):
        mapped(doubled, [{"x": 1}, {"x": 13}])


@pytest.mark.parametrize("numbers", [[0, 0, 1], [1], [0, 1, 2]])
def test_a_lost_or_doubled_row_is_refused(monkeypatch, numbers):
    """Ray Data as it must not be."""

    class Data:
        def map(self, work):
            return self

        def iter_rows(self):
            return iter([{"number": number} for number in numbers])

    class Module:
        @staticmethod
        def from_items(items, override_num_blocks):
            return Data()

        class DataContext:
            enable_progress_bars = enable_operator_progress_bars = True

            @classmethod
            def get_current(cls):
                return cls

    monkeypatch.setattr(clusters.optional, "load", lambda *_, **__: Module)
    with pytest.raises(MilepostError, match="not one for each"):
        mapped(doubled, [{"x": 1}, {"x": 2}])


class Unasked:
    """Ray as it must not be asked: it would wait for minutes."""

    @staticmethod
    def is_initialized():
        return False

    @staticmethod
    def init(**_):
        raise AssertionError("Ray was asked to connect")


@pytest.mark.parametrize("form", ["{}", "ray://{}"])
def test_where_no_one_listens_it_is_told_at_once(monkeypatch, form):
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        address = form.format(f"127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setattr(clusters.optional, "load", lambda *_, **__: Unasked)
        told = re.escape(f"No cluster of Ray answers at {address!r}")
        with pytest.raises(SettingError, match=told), cluster(address):
            pass
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(SettingError, match=told), cluster("auto"):
            pass


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "no.such.host.invalid:6379"])
def test_addresses_that_are_none(monkeypatch, address):
    monkeypatch.setattr(clusters.optional, "load", lambda *_, **__: Unasked)
    with pytest.raises(SettingError, match="No cluster of Ray answers"), cluster(address):
        pass


@pytest.mark.parametrize("form", ["{}", "ray://{}"])
def test_where_one_listens_ray_is_asked(monkeypatch, form):
    monkeypatch.setattr(clusters.optional, "load", lambda *_, **__: Unasked)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = form.format(f"127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(AssertionError, match="Ray was asked"), cluster(address):
            pass


def test_a_process_that_is_connected_stays_so(ray):
    with cluster("local") as found:
        assert found is ray
    assert ray.is_initialized()
