"""The Config that is measured first: what the default is chosen from, and which it is."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import build_space
from autotuner.errors import StudyError
from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.study.known_models import KnownModels
from autotuner.study.model import Study
from autotuner.tuning.decisions.baseline import baseline_config, baseline_configs
from autotuner.tuning.decisions.default_space import baseline_values, default_space, narrowed
from tests.engine_studies import study
from tests.model_spaces import facts_of

NOTHING_KNOWN = KnownModels(None, {})
TYPES = ["H100-80GB", "L40S-48GB"]


def made(name: str | list[str] = "vllm", **sections: Any) -> tuple[Study, SearchSpace]:
    given = study(name, **sections)
    return given, build_space(given)


def narrow(values: dict[str, Any], name: str | list[str] = "vllm", **sections: Any) -> Study:
    given, space = made(name, **sections)
    return narrowed(given, space, values)


def first(name: str | list[str] = "vllm", fits: Any = None, **sections: Any) -> dict[str, Any]:
    given, space = made(name, **sections)
    return dict(baseline_config(given, default_space(given, space, NOTHING_KNOWN, None), fits).values)


# ── what it is chosen from ────────────────────────────────────────────────────────────────────


def test_parameters_that_the_baseline_leaves_out_are_left_to_the_server() -> None:
    sections: dict[str, Any] = {
        "space": {"parameters": {"max-num-seqs": [64, 128], "dtype": ["half"]}, "parallelism": {"tp": [1, 2]}}
    }
    plain = narrow({}, **sections)
    assert plain.space.parameters == {}
    assert plain.space.parallelism.tp == [1, 2]
    one = narrow({"max-num-seqs": 64, "tp": 2}, **sections)
    assert one.space.parameters == {"max-num-seqs": {"choices": {"64": 64}}}
    assert one.space.parallelism.tp == 2


def test_a_value_that_the_space_does_not_have_is_called_baseline() -> None:
    sections: dict[str, Any] = {"space": {"parameters": {"max-num-seqs": [64], "max-model-len": {"int": [1, 9]}}}}
    values = {"max-num-seqs": 7, "max-model-len": 5, "dtype": "half"}
    assert narrow(values, **sections).space.parameters == {
        name: {"choices": {"baseline": value}} for name, value in values.items()
    }


def test_labels_stay_as_expressions_call_them() -> None:
    choices = {"none": None, "some": {"method": "ngram", "num_speculative_tokens": 3}}
    sections: dict[str, Any] = {"space": {"parameters": {"speculative-config": {"choices": choices}}}}
    found = narrow({"speculative-config": choices["some"]}, **sections)
    assert found.space.parameters == {"speculative-config": {"choices": {"some": choices["some"]}}}


def test_formats_and_types_are_as_it_says_or_as_the_study_has_them() -> None:
    sections: dict[str, Any] = {
        "space": {"quantization": {"gemm": ["auto", "fp8"], "kv_cache": ["auto", "fp8"]}},
        "hardware": {"accelerators": TYPES},
    }
    found = narrow({"quant.gemm": "fp8", "accelerator": TYPES[1]}, **sections)
    assert (found.space.quantization.gemm, found.space.quantization.kv_cache) == ("fp8", ["auto", "fp8"])
    assert found.hardware.accelerators == [TYPES[1]]
    assert narrow({}, **sections).hardware.accelerators == TYPES


def test_normalised_names_among_the_parameters_stay_unless_it_says_them() -> None:
    sections: dict[str, Any] = {"space": {"parameters": {"tp": [1, 2], "max-num-seqs": [64]}}}
    assert narrow({}, **sections).space.parameters == {"tp": [1, 2]}
    found = narrow({"tp": 2}, **sections)
    assert (found.space.parameters, found.space.parallelism.tp) == ({}, 2)


def test_of_several_engines_the_one_that_it_names_is_left() -> None:
    sections: dict[str, Any] = {
        "engine": {
            "name": ["vllm", "sglang"],
            "per_engine": {"vllm": {"args": {"dtype": "half"}}, "sglang": {"args": {"dtype": "auto"}}},
        }
    }
    found = narrow({"engine": "sglang"}, ["vllm", "sglang"], **sections)
    assert (found.engine.names, list(found.engine.per_engine)) == (("sglang",), ["sglang"])
    assert narrow({}, ["vllm", "sglang"], **sections).engine.names == ("vllm", "sglang")
    shared = narrow({"engine": "vllm"}, ["vllm", "sglang"], engine={"name": ["vllm", "sglang"], "env": {"A": "1"}})
    assert shared.engine.env == {"A": "1"}, "what all engines share stays"
    other = narrow({"engine": "vllm"}, ["vllm", "sglang"], engine={"name": ["vllm", "sglang"]})
    assert (other.engine.names, other.engine.per_engine) == (("vllm",), {})


def test_of_the_studys_constraints_those_count_whose_parameters_are_there() -> None:
    sections: dict[str, Any] = {
        "space": {
            "parameters": {"max-num-seqs": [64, 128], "max-num-batched-tokens": [128, 256]},
            "parallelism": {"tp": [1, 2, 4]},
            "constraints": ["tp >= 2", "max_num_seqs * tp <= 256", "max_num_batched_tokens >= 256"],
        }
    }
    assert narrow({}, **sections).space.constraints == ["tp >= 2"]
    assert narrow({"max-num-seqs": 64}, **sections).space.constraints == ["tp >= 2", "max_num_seqs * tp <= 256"]


def test_a_baseline_is_read_as_its_engines_read_it() -> None:
    assert baseline_values(study()) == {}
    own = study(search={"baseline": {"max-model-len": "8k", "tp": 2}})
    assert baseline_values(own) == {"max-model-len": 8000, "tp": 2}


# ── where there is none ───────────────────────────────────────────────────────────────────────


def refused(models: KnownModels = NOTHING_KNOWN, **sections: Any) -> StudyError:
    given, space = made(**sections)
    with pytest.raises(StudyError) as caught:
        default_space(given, space, models, 5000)
    return caught.value


def test_a_default_that_can_not_be_is_refused_with_what_would_fit() -> None:
    """Llama-3.1-8B's own 131,072 tokens and its weights take more than the GPU has."""
    parameters = {"max-num-seqs": [32], "max-model-len": [8000, 16000]}
    sections: dict[str, Any] = {"hardware": {"accelerators": ["L4-24GB"]}, "space": {"parameters": parameters}}
    error = refused(KnownModels(facts_of("llama-3.1-8b"), {}), **sections)
    assert error.key == "search.baseline"
    assert "'default': the engine's default can't be: " in error.message
    assert error.nearest in ("{max-model-len: 8000}", "{max-model-len: 16000}")
    assert error.message.endswith(f"; give search.baseline: {error.nearest}, or what fits in engine.args")


def test_an_own_baseline_that_can_not_be_is_refused_as_it_is() -> None:
    error = refused(search={"baseline": {"max-model-len": 4000}}, space={"parameters": {"max-model-len": [4000, 8000]}})
    assert (error.value, error.nearest) == ({"max-model-len": 4000}, None)
    assert "the engine's default" not in error.message
    assert "5000 tokens" in error.message


# ── which it is ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("space", "chosen"),
    [
        ({}, {}),
        ({"parallelism": {"tp": [4, 2], "pp": [2, 1]}}, {"tp": 2, "pp": 1}),
        ({"parallelism": {"tp": [1, 2], "pp": [1, 2]}, "constraints": ["tp * pp == 2"]}, {"tp": 1, "pp": 2}),
        ({"quantization": {"gemm": ["fp8", "auto"]}}, {"quant.gemm": "auto"}),
        ({"quantization": {"gemm": ["fp8"]}, "parallelism": {"tp": [2]}}, {"quant.gemm": "fp8", "tp": 2}),
        (
            {
                "quantization": {"gemm": ["auto", "fp8"]},
                "parallelism": {"tp": [1, 2]},
                "constraints": ["quant.gemm == 'fp8' or tp == 2"],
            },
            {"quant.gemm": "auto", "tp": 2},
        ),
    ],
)
def test_the_engines_own_formats_come_first_then_the_fewest_gpus_then_the_least_parallelism(
    space: dict[str, Any], chosen: dict[str, Any]
) -> None:
    assert first(space=space) == chosen


def test_the_first_engine_and_the_first_type_are_taken_where_they_fit() -> None:
    sections: dict[str, Any] = {"hardware": {"accelerators": TYPES}, "space": {"parallelism": {"tp": [1, 2]}}}
    assert first(["sglang", "vllm"], **sections) == {"engine": "sglang", "accelerator": TYPES[0], "tp": 1}
    on_two = first(fits=lambda config: config.values["tp"] == 2, **sections)
    assert on_two == {"accelerator": TYPES[0], "tp": 2}
    elsewhere = first(fits=lambda config: config.values["accelerator"] == TYPES[1], **sections)
    assert elsewhere == {"accelerator": TYPES[1], "tp": 1}
    assert first(fits=lambda _: False, **sections) == {"accelerator": TYPES[0], "tp": 1}, "the first, where none does"


def test_an_own_baseline_has_what_it_says_and_the_rest_is_chosen() -> None:
    found = first(
        search={"baseline": {"tp": 4, "max-num-seqs": 64}},
        space={"parallelism": {"tp": [1, 2, 4], "pp": [2, 1]}, "parameters": {"max-num-seqs": [64, 128]}},
    )
    assert found == {"tp": 4, "pp": 1, "max-num-seqs": 64}


def defaults(fits: Any = None, **sections: Any) -> list[dict[str, Any]]:
    given, space = made(**sections)
    found = baseline_configs(given, default_space(given, space, NOTHING_KNOWN, None), fits)
    return [dict(config.values) for config in found]


def test_each_further_type_has_its_default_where_it_fits() -> None:
    sections: dict[str, Any] = {"hardware": {"accelerators": TYPES}, "space": {"parallelism": {"tp": [1, 2]}}}
    both = [{"accelerator": name, "tp": 1} for name in TYPES]
    assert defaults(**sections) == both
    assert defaults(fits=lambda config: config.values["accelerator"] == TYPES[0], **sections) == both[:1]
    assert defaults(fits=lambda _: False, **sections) == both[:1], "never without the first"
    assert defaults(**sections, search={"baseline": {"accelerator": TYPES[1]}}) == both[1:]
    assert defaults(space={"parallelism": {"tp": [1, 2]}}) == [{"tp": 1}]


def test_a_type_on_which_the_constraints_leave_no_default_has_none() -> None:
    sections: dict[str, Any] = {
        "hardware": {"accelerators": TYPES},
        "space": {"parallelism": {"tp": [1]}, "constraints": [f"accelerator == '{TYPES[0]}'"]},
    }
    assert defaults(**sections) == [{"accelerator": TYPES[0], "tp": 1}]


def test_configs_are_equal_by_their_values() -> None:
    assert Config({"a": 1, "b": 2}) == Config({"b": 2, "a": 1}) != Config({"a": 1})
