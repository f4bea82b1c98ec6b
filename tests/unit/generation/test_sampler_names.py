"""Names of samplers and schedules as A1111's users, APIs and old infotexts write them (reference a1111.md §3.1)."""

import pytest

from pseudoword.errors import BadOption
from pseudoword.generation.sampling.names import (
    SAMPLERS,
    SCHEDULES,
    effective,
    resolve,
    sampler_named,
    schedule_named,
)

# typed from a1111.md §3.1: name, alias, what Automatic stands for
TABLE = """
DPM++ 2M|k_dpmpp_2m|Karras
DPM++ SDE|k_dpmpp_sde|Karras
DPM++ 2M SDE|k_dpmpp_2m_sde|Exponential
DPM++ 2M SDE Heun|k_dpmpp_2m_sde_heun|Exponential
DPM++ 2S a|k_dpmpp_2s_a|Karras
DPM++ 3M SDE|k_dpmpp_3m_sde|Exponential
Euler a|k_euler_a|Automatic
Euler|k_euler|Automatic
LMS|k_lms|Automatic
Heun|k_heun|Automatic
DPM2|k_dpm_2|Karras
DPM2 a|k_dpm_2_a|Karras
DPM fast|k_dpm_fast|Automatic
DPM adaptive|k_dpm_ad|Automatic
Restart|restart|Karras
DDIM|ddim|Automatic
DDIM CFG++|ddim_cfgpp|Automatic
PLMS|plms|Automatic
UniPC|unipc|Automatic
LCM|k_lcm|Automatic
""".strip().splitlines()


def test_all_samplers_of_the_table_are_there_in_its_order():
    assert [row.split("|")[0] for row in TABLE] == [sampler.name for sampler in SAMPLERS]


@pytest.mark.parametrize("row", TABLE)
def test_name_alias_and_any_case_find_the_sampler_and_its_own_schedule(row):
    name, alias, automatic = row.split("|")
    for written in (name, name.upper(), f" {name.lower()} ", alias, alias.upper()):
        sampler, schedule = resolve(written)
        assert (sampler.name, effective(sampler, schedule).label) == (name, automatic)


def test_the_schedules_have_both_forms_of_their_names():
    labels = "Automatic,Uniform,Karras,Exponential,Polyexponential,SGM Uniform,KL Optimal,Align Your Steps,"
    labels += "Simple,Normal,DDIM,Beta"
    assert [schedule.label for schedule in SCHEDULES] == labels.split(",")
    for label in labels.split(","):
        assert schedule_named(label) == schedule_named(label.lower().replace(" ", "_")) == schedule_named(label.upper())


@pytest.mark.parametrize(
    ("joined", "sampler", "schedule"),
    [
        ("DPM++ 2M Karras", "DPM++ 2M", "Karras"),
        ("dpm++ 2m sde heun exponential", "DPM++ 2M SDE Heun", "Exponential"),
        ("Euler a SGM Uniform", "Euler a", "SGM Uniform"),
        ("LMS align_your_steps", "LMS", "Align Your Steps"),
        ("DPM++ 2M SDE", "DPM++ 2M SDE", "Automatic"),
        ("Euler DDIM", "Euler", "DDIM"),
    ],
)
def test_joined_names_are_split_by_their_suffix(joined, sampler, schedule):
    found, laid = resolve(joined)
    assert (found.name, laid.label) == (sampler, schedule)


def test_a_schedule_that_is_given_wins_over_a_joined_one():
    assert resolve("DPM++ 2M Karras", "beta")[1].label == "Beta"
    assert resolve("DPM++ 2M Karras", "Automatic")[1].label == "Karras"


def test_timestep_samplers_have_no_schedule():
    sampler, schedule = resolve("DDIM", "Karras")
    assert effective(sampler, schedule).label == "Automatic"


@pytest.mark.parametrize("name", ["Eulr", "", "Karras", "Euler Karras Karras", "DPM++ 2M  Karrass"])
def test_an_unknown_sampler_is_refused_with_all_names(name):
    with pytest.raises(BadOption) as caught:
        sampler_named(name)
    assert all(sampler.name in str(caught.value) for sampler in SAMPLERS)


def test_an_unknown_schedule_is_refused_with_all_labels():
    with pytest.raises(BadOption) as caught:
        resolve("Euler", "cosine")
    assert all(schedule.label in str(caught.value) for schedule in SCHEDULES)


def test_what_is_timed_in_twice_as_many_calls_and_what_drops_its_next_to_last_level():
    assert {s.name for s in SAMPLERS if s.second_order} == {
        "DPM++ SDE", "DPM++ 2S a", "Heun", "DPM2", "DPM2 a", "Restart",
    }  # fmt: skip
    assert {s.name for s in SAMPLERS if s.discards_next_to_last} == {"DPM++ 3M SDE", "DPM2", "DPM2 a"}
    assert {s.name for s in SAMPLERS if s.brownian_noise} == {
        "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE",
    }  # fmt: skip
    assert {s.name for s in SAMPLERS if s.uses_ensd} == {
        "DPM++ 2S a", "Euler a", "DPM2 a", "DPM fast", "DPM adaptive",
    }  # fmt: skip
