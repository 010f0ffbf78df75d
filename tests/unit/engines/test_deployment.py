"""Deployments, their shares of nodes, and the files that servers read, to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import Deployment, Problem, Rank, ServerGroup
from autotuner.engines.deployment import Address, Mount, SecretEnv, literal
from autotuner.engines.engine import QuantValue, RequestFeatures, VersionQuestion
from autotuner.engines.key_file import key_file
from autotuner.engines.node_shares import node_shares
from autotuner.engines.nodes import gpus_by_rank, gpus_per_node
from autotuner.engines.server_metrics import Counter, Gauge
from autotuner.errors import StudyError
from tests.engine_studies import study


def deployment(*groups: ServerGroup) -> Deployment:
    return Deployment("test", "1", "m", "m", groups)


# ── ranks ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_bound_at_launch_is_put_into_argv_and_environment() -> None:
    rank = Rank(
        ("s", "{host}:{port}", "{rank0}", "{rank0.host}/{rank0.port}", "{files}/f", literal("{x}")),
        {"A": "{port}", "S": SecretEnv("NAME")},
    )
    own, rank0 = Address("h1", 80), Address("h0", 90)
    assert rank.bound_argv(own, rank0, "/f") == ("s", "h1:80", "h0:90", "h0/90", "/f/f", "{x}")
    assert rank.bound_env(own, rank0, "/f") == {"A": "80", "S": SecretEnv("NAME")}


def test_amounts_are_of_all_replicas_of_all_groups() -> None:
    given = deployment(
        ServerGroup((Rank(("a",), gpus=2, cpus=3), Rank(("a",), gpus=1)), replicas=2), ServerGroup((Rank(("b",)),))
    )
    assert (given.gpus, given.cpus, given.replicas) == (2 * 3, 2 * 4 + 1, 3)


@pytest.mark.parametrize(
    ("gpus", "per_node", "ranks"),
    [(0, 8, (0,)), (1, 8, (1,)), (8, 8, (8,)), (9, 8, (3, 3, 3)), (16, 8, (8, 8)), (12, 8, (6, 6)), (10, 4, (2,) * 5)],
)
def test_a_server_that_no_node_holds_has_equal_shares(gpus: int, per_node: int, ranks: tuple[int, ...]) -> None:
    assert gpus_by_rank(study(hardware={"gpus_per_node": per_node}), gpus) == ranks


def test_a_node_of_which_nothing_is_known_has_eight_gpus() -> None:
    assert (gpus_per_node(study()), gpus_per_node(study(hardware={"gpus_per_node": 3}))) == (8, 3)


def placed(given: Deployment, per_node: int) -> list[list[tuple[int, int]]]:
    return [[(one.server, one.rank) for one in share.ranks] for share in node_shares(given, per_node)]


def test_a_server_joins_a_node_as_long_as_there_is_room() -> None:
    sizes = (3, 3, 2, 1, 8)
    given = deployment(*(ServerGroup((Rank(("s",), gpus=gpus),)) for gpus in sizes))
    assert placed(given, 8) == [[(0, 0), (1, 0), (2, 0)], [(3, 0)], [(4, 0)]]
    assert [share.gpus for share in node_shares(given, 8)] == [8, 1, 8]


def test_after_a_server_of_several_ranks_a_node_of_its_own_begins() -> None:
    two = ServerGroup((Rank(("a",), gpus=1), Rank(("a",), gpus=1)))
    assert placed(deployment(ServerGroup((Rank(("b",), gpus=1),)), two, ServerGroup((Rank(("c",), gpus=1),))), 8) == [
        [(0, 0)],
        [(1, 0)],
        [(1, 1)],
        [(2, 0)],
    ]


def test_a_server_without_gpus_joins_what_is_there() -> None:
    given = deployment(ServerGroup((Rank(("a",), gpus=8),)), ServerGroup((Rank(("b",), cpus=5),)))
    assert placed(given, 8) == [[(0, 0), (1, 0)]]
    assert [share.cpus for share in node_shares(given, 8)] == [6]


# ── files of keys ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, ""),
        ({"a": None}, ""),
        ({"b": 1, "a": True}, "a: true\nb: 1\n"),
        ({"a.b": 1, "a.c.d": "x"}, "a:\n  b: 1\n  c:\n    d: x\n"),
        ({"a": {"b": 1}, "a.c": 2}, "a:\n  b: 1\n  c: 2\n"),
        ({"a": {}}, "a: {}\n"),
        ({"a": [1, [2], {"b": None}]}, "a: [1, [2], {b: null}]\n"),
        ({"a": (1, 2)}, "a: [1, 2]\n"),
        ({"a": "null"}, "a: null\n"),
        ({"a": '{"b": [1]}'}, "a:\n  b: [1]\n"),
        ({"a": "[1, 2]"}, "a: [1, 2]\n"),
        ({"a": "{oops"}, "a: '{oops'\n"),
        ({"a": "true"}, "a: 'true'\n"),
        ({"ä": "é"}, "ä: é\n"),
        ({"a": "1"}, "a: '1'\n"),
        ({"a": "x\ny"}, 'a: "x\\ny"\n'),
        ({"a": 1, "b": True}, "a: 1\nb: true\n"),
        ({"a": 1.0, "b": 1}, "a: 1.0\nb: 1\n"),
        ({"a": "x" * 200 + " y"}, f"a: {'x' * 200} y\n"),
    ],
)
def test_a_file_of_keys(keys: dict[str, Any], text: str) -> None:
    assert key_file(keys) == text


@pytest.mark.parametrize(
    ("keys", "name", "group"),
    [
        ({"a": 1, "a.b": 2}, "a.b", "a"),
        ({"a": 1, "a.b.c": 2}, "a.b.c", "a"),
        ({"a.b": 1, "a.b.c": 2}, "a.b.c", "a.b"),
        ({"a": {"b": 1}, "a.b": 2}, "a.b", "a"),
    ],
)
def test_a_key_beside_the_group_that_is_given_whole_is_refused(keys: dict[str, Any], name: str, group: str) -> None:
    with pytest.raises(StudyError) as caught:
        key_file(keys)
    assert (caught.value.key, caught.value.nearest) == (name, group)
    assert caught.value.message == f"{name}: {keys[name]!r}: {group} is given whole beside it: put it in there"


def test_what_is_given_is_left_as_it_is() -> None:
    given = {"a": {"b": 1}, "a.c": 2}
    key_file(given)
    assert given == {"a": {"b": 1}, "a.c": 2}


# ── what engines say of themselves ────────────────────────────────────────────────────────────


def test_an_engine_of_which_no_more_is_said_forces_no_length_and_reads_ids_of_a_byte_level_vocabulary() -> None:
    plain = RequestFeatures(token_ids=True, ignore_eos=False)
    assert (plain.forces_length, plain.token_id_range, plain.min_tokens) == (False, (3, 259), False)
    assert RequestFeatures(token_ids=True, ignore_eos=True).forces_length
    assert RequestFeatures(token_ids=True, ignore_eos=False, min_tokens=True).forces_length


def test_a_format_of_which_no_more_is_said_is_of_the_models_own_checkpoint() -> None:
    assert not QuantValue().offline


@pytest.mark.parametrize(
    ("instead_of", "command", "argv"),
    [
        ((), ("run",), ("run", "--version")),
        (("serve",), ("run", "serve"), ("run", "--version")),
        (("serve",), ("run", "other"), None),
        (("serve",), (), None),
    ],
)
def test_an_executable_is_asked_for_its_version_after_its_own_words_or_instead_of_the_last_of_them(
    instead_of: tuple[str, ...], command: tuple[str, ...], argv: tuple[str, ...] | None
) -> None:
    assert VersionQuestion(("--version",), "(.*)", instead_of=instead_of).asked_of(command) == argv


def test_metrics_are_in_their_own_unit_and_there_from_the_start_unless_it_is_said() -> None:
    assert (Gauge("g").scale, Counter("c").from_first) == (1.0, False)


def test_a_rank_and_a_group_of_which_no_more_is_said() -> None:
    rank = Rank(("s",))
    assert (rank.gpus, rank.cpus, ServerGroup((rank,)).replicas) == (0, 1, 1)
    assert Mount("/a", "/b").read_only


def test_a_problem_is_fatal_unless_it_is_said_to_be_a_warning() -> None:
    assert Problem("k", 1, "r").fatal
