"""Which node is to blame for failures, and where a trial goes after one."""

from __future__ import annotations

import pytest

from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.tuning.decisions.node_health import NodeHealth, Quarantine
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.decisions.repeats import Repeats

ONE_NODE = Need((Share(8, 1.0),))
TWO_NODES = Need((Share(8, 1.0), Share(8, 1.0)))


def nodes(names: str) -> list[Node]:
    return [Node(name, "H100-80GB", 8, 64.0, 8, 64.0) for name in names]


def config(number: int) -> Config:
    return Config({"n": number})


def sick(health: NodeHealth, names: str, *needs: Need) -> list[str]:
    return [found.node_id for found in health.newly_sick(nodes(names), needs)]


def test_a_nodes_own_trouble_closes_it_once_others_are_seen_to_work() -> None:
    health = NodeHealth()
    for number in range(2):
        health.failed(config(number), ["a"], Failure.INFRASTRUCTURE)
    assert sick(health, "abc") == []
    health.succeeded(config(9), ["b"])
    [found] = health.newly_sick(nodes("abc"))
    assert (found.node_id, "2 different Configs failed on it (INFRASTRUCTURE)" in found.reason) == ("a", True)


def test_what_works_on_the_node_itself_does_not_speak_for_it() -> None:
    health = NodeHealth()
    for number in range(2):
        health.failed(config(number), ["a"], Failure.INFRASTRUCTURE)
    health.succeeded(config(8), ["a"])  # on another of its GPUs
    health.succeeded(config(9), ["b"])
    assert sick(health, "abc") == ["a"]


def test_one_config_is_not_enough() -> None:
    health = NodeHealth()
    for _ in range(3):
        health.failed(config(0), ["a"], Failure.INFRASTRUCTURE)
        health.succeeded(config(9), ["b"])
    assert sick(health, "abc") == []


@pytest.mark.parametrize("names", ["ab", "abc", "abcdefgh"])
def test_what_befalls_all_nodes_closes_none(names: str) -> None:
    """A hub, or a registry, that does not answer for a while."""
    health = NodeHealth()
    for number in range(2):
        for name in names:
            health.failed(config(number), [name], Failure.INFRASTRUCTURE)
    for name in names:  # and now it does
        health.succeeded(config(9), [name])
        assert sick(health, names) == []


def test_of_the_nodes_of_a_trial_the_one_is_closed_that_is_common_to_what_failed() -> None:
    health = NodeHealth()
    health.failed(config(0), ["a", "b"], Failure.INFRASTRUCTURE)
    health.failed(config(1), ["a", "b"], Failure.INFRASTRUCTURE)
    health.succeeded(config(8), ["c", "d"])
    assert sick(health, "abcd") == [], "either may be to blame"
    health.failed(config(2), ["b", "c"], Failure.INFRASTRUCTURE)
    health.succeeded(config(9), ["a", "d"])
    assert sick(health, "abcd") == ["b"]


def test_a_node_on_which_the_config_then_got_on_is_not_to_blame() -> None:
    health = NodeHealth()
    for number in range(2):
        health.failed(config(number), ["a", "b"], Failure.HANG)
        health.succeeded(config(number), ["b", "c"])
    assert sick(health, "abc") == ["a"]


def test_as_many_nodes_stay_as_the_default_needs() -> None:
    health = NodeHealth()
    for number in range(2):
        health.failed(config(number), ["a"], Failure.INFRASTRUCTURE)
    health.succeeded(config(9), ["b"])
    assert sick(health, "ab", TWO_NODES) == []
    assert sick(health, "abc", TWO_NODES) == ["a"]


def test_a_trial_over_several_nodes_is_repeated_on_another_set_of_them() -> None:
    repeats = Repeats()
    assert Failure.CRASH in repeats.repeat_on(TWO_NODES, ["a", "b"], nodes("abc"))
    repeats.note(Failure.CRASH, ["a", "b"])
    again = repeats.need(TWO_NODES, nodes("abc"))
    assert len(again.avoid & {"a", "b"}) == 1
    assert repeats.need(TWO_NODES, nodes("abcd")).avoid == {"a", "b"}
    assert repeats.need(TWO_NODES, nodes("ab")) == TWO_NODES


def test_without_another_node_a_crash_is_believed() -> None:
    assert Failure.CRASH not in Repeats().repeat_on(TWO_NODES, ["a", "b"], nodes("ab"))
    assert Failure.CRASH not in Repeats().repeat_on(ONE_NODE, ["a"], nodes("a"))
    assert Failure.CRASH in Repeats().repeat_on(ONE_NODE, ["a"], nodes("ab"))


def test_a_crash_is_held_against_a_node_once_the_same_config_got_on_elsewhere_not_another() -> None:
    health = NodeHealth()
    for number in range(2):
        health.failed(config(number), ["a"], Failure.CRASH)
    health.succeeded(config(9), ["b"])
    assert sick(health, "abc") == []
    for number in range(2):
        health.succeeded(config(number), ["b"])
    assert sick(health, "abc") == ["a"]


def test_the_last_open_node_of_a_type_is_kept_though_nothing_is_known_to_need_it() -> None:
    health = NodeHealth()
    for number in range(2):
        health.failed(config(number), ["a"], Failure.INFRASTRUCTURE)
    health.succeeded(config(9), ["b"])
    others = [Node(name, "L40S-48GB", 8, 64.0, 8, 64.0) for name in "bcd"]
    assert health.newly_sick([*nodes("a"), *others]) == []
    assert [found.node_id for found in health.newly_sick([*nodes("ae"), *others])] == ["a"]


def test_a_second_crash_is_believed_though_a_third_node_is_there() -> None:
    repeats = Repeats()
    repeats.note(Failure.CRASH, ["a"])
    assert Failure.CRASH not in repeats.repeat_on(ONE_NODE, ["b"], nodes("abc"))
    assert Failure.INFRASTRUCTURE in repeats.repeat_on(ONE_NODE, ["b"], nodes("abc"))


def test_what_says_nothing_of_a_config_is_repeated_twice_elsewhere_and_once_on_the_only_node() -> None:
    repeats = Repeats()
    assert Failure.CLIENT_SATURATED in repeats.repeat_on(ONE_NODE, ["a"], nodes("a"))
    repeats.note(Failure.CLIENT_SATURATED, ["a"])
    assert repeats.repeat_on(ONE_NODE, ["a"], nodes("a")) == frozenset()
    assert Failure.CLIENT_SATURATED in repeats.repeat_on(ONE_NODE, ["b"], nodes("abc"))
    repeats.note(Failure.INFRASTRUCTURE, ["b"])
    assert Failure.INFRASTRUCTURE not in repeats.repeat_on(ONE_NODE, ["c"], nodes("abcd"))


def test_a_lost_process_is_followed_by_another_three_times() -> None:
    repeats = Repeats()
    for _ in range(3):
        assert repeats.may_follow_a_loss()
        repeats.note(None, ["a"])
    assert not repeats.may_follow_a_loss()


# ── whose fault it is ─────────────────────────────────────────────────────────────────────────


def two_failed_on(health: NodeHealth, *names: str, failure: Failure = Failure.INFRASTRUCTURE) -> None:
    for number in range(2):
        health.failed(config(number), names, failure)


@pytest.mark.parametrize(("names", "closed"), [("ab", []), ("abc", []), ("abcd", ["a"])])
def test_no_node_is_closed_where_more_than_half_of_the_nodes_have_something_against_them(
    names: str, closed: list[str]
) -> None:
    """One thing is enough to count among those: b has one, a has two."""
    health = NodeHealth()
    two_failed_on(health, "a")
    health.failed(config(5), ["b"], Failure.INFRASTRUCTURE)
    health.succeeded(config(9), ["elsewhere"])
    assert sick(health, names) == closed


def test_of_a_trial_over_two_nodes_each_has_half_against_it() -> None:
    """Of a, b and c two have half a thing against them, which is none."""
    health = NodeHealth()
    two_failed_on(health, "a")
    health.failed(config(7), ["b", "c"], Failure.INFRASTRUCTURE)
    health.succeeded(config(9), ["d"])
    assert sick(health, "abc") == ["a"]


def test_what_blames_the_config_is_held_against_no_node() -> None:
    health = NodeHealth()
    two_failed_on(health, "a", failure=Failure.OUT_OF_MEMORY_AT_START)
    for number in (0, 1, 9):
        health.succeeded(config(number), ["b"])
    assert sick(health, "abc") == []


def test_a_config_that_got_on_where_it_failed_speaks_for_that_node() -> None:
    health = NodeHealth()
    two_failed_on(health, "a", failure=Failure.HANG)
    health.succeeded(config(0), ["a"])
    for number in range(2):
        health.succeeded(config(number), ["b"])
    assert sick(health, "abc") == [], "one is left, and one is not enough"


def test_what_failed_is_told_by_its_kinds() -> None:
    health = NodeHealth()
    health.failed(config(0), ["a"], Failure.INFRASTRUCTURE)
    health.failed(config(1), ["a"], Failure.CRASH)
    health.failed(config(2), ["a"], Failure.CRASH)
    for number in (1, 2):
        health.succeeded(config(number), ["b"])
    [found] = health.newly_sick(nodes("abc"))
    told = "3 different Configs failed on it (CRASH, INFRASTRUCTURE) and not for their own sake"
    assert found == Quarantine("a", told)


def test_a_slow_node_is_closed_and_told_once_and_one_that_is_gone_is_not() -> None:
    health = NodeHealth()
    health.slow(Quarantine("b", "slow"))
    health.slow(Quarantine("gone", "slow"))
    assert sick(health, "abc") == ["b"]
    assert health.quarantined == {"b"}
    assert sick(health, "ac") == []


def test_as_many_stay_as_hold_each_need_though_several_are_sick() -> None:
    health = NodeHealth()
    for name in "ab":
        health.slow(Quarantine(name, "slow"))
    assert sick(health, "abc", TWO_NODES) == ["a"], "with b and c it still fits"


def test_a_need_that_fitted_nowhere_keeps_no_node() -> None:
    health = NodeHealth()
    health.slow(Quarantine("a", "slow"))
    assert sick(health, "abc", Need((Share(99, 1.0),))) == ["a"]


def test_a_node_that_was_in_quarantine_before_is_in_it_now() -> None:
    assert NodeHealth([Quarantine("a", "then")]).quarantined == {"a"}
