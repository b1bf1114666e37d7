"""What a policy file may say, where it is found, and how its mistakes are named."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import jsonschema
import pytest

from lossdoctor.diagnosis.examine import arguments
from lossdoctor.errors import PathMissing, UsageError
from lossdoctor.policy import FailOn, Level, load
from lossdoctor.policy.init import init_text
from lossdoctor.policy.presets import PRESETS
from lossdoctor.policy.schema import schema
from lossdoctor.rulebook import Rule, shipped

from .samples import RULES

FULL = """
preset = "strict"
[rules]
LD2 = "warning"
hockey-stick = "note"
LD101 = "off"
[limits]
"hockey-stick.eval_rise" = 0.1
LD301.share = 0.95
[gate]
fail_on = "new-error"
require_signals = ["train/loss", "gpu/*/memory"]
min_evals = 3
baseline = "good/last.json"
allow_damage = true
[[suppress]]
rule = "constant-clipping"
run = "ablation-*"
reason = "on purpose"
until = 2027-01-31
[[override]]
run = "smoke-*"
rules = { ALL = "note" }
limits = { "hockey-stick.eval_rise" = 0.3 }
min_evals = 0
"""


def write(folder: Path, text: str, name: str = "lossdoctor.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_arrives(tmp_path: Path) -> None:
    policy = load(write(tmp_path, FULL), tmp_path, RULES)
    assert policy.gate.fail_on is FailOn.NEW_ERROR
    assert policy.gate.baseline == (tmp_path / "good/last.json",)
    assert (policy.gate.allow_damage, policy.gate.allow_inconclusive) == (True, False)
    assert policy.required_signals("any") == ("train/loss", "gpu/*/memory")
    assert (policy.min_evals("any"), policy.min_evals("smoke-1"), policy.min_evals("other", "runs/smoke-1")) == (3, 0, 3)
    assert policy.limits_for("any") == {"hockey-stick.eval_rise": 0.1, "constant-clipping.share": 0.95}
    assert policy.limits_for("smoke-1")["hockey-stick.eval_rise"] == 0.3
    (suppression,) = policy.suppressions
    assert (suppression.until, suppression.reason) == (date(2027, 1, 31), "on purpose")


@pytest.mark.parametrize(
    ("rule", "code", "run", "level"),
    [
        ("hockey-stick", "LD201", "any", Level.NOTE),  # the name is narrower than the family
        ("eval-sparse", "LD205", "any", Level.WARNING),  # the family of the file covers the preset's own word
        ("divergence", "LD101", "any", Level.OFF),
        ("divergence", "LD101", "smoke-1", Level.NOTE),  # the override speaks last
        ("constant-clipping", "LD301", "any", None),
    ],
)
def test_narrowest_selector_of_the_last_layer_wins(tmp_path: Path, rule: str, code: str, run: str, level: Level | None) -> None:
    assert load(write(tmp_path, FULL), tmp_path, RULES).level_of(rule, code, run) == level


def test_the_nearest_file_upwards_is_used(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    write(tmp_path, "preset = 'strict'")
    write(deep, "[tool.ruff]\nline-length = 3", "pyproject.toml")
    assert load(None, deep, RULES).preset == "strict"
    write(deep.parent, "[tool.lossdoctor]\npreset = 'pretrain'", "pyproject.toml")
    assert load(None, deep, RULES).preset == "pretrain"
    write(deep, "this is not [ TOML", "pyproject.toml")  # not ours to judge
    assert load(None, deep, RULES).preset == "pretrain"
    write(deep, "preset = 'report-only'")
    assert load(None, deep, RULES).gate.fail_on is FailOn.NEVER


def test_without_a_file_errors_fail(tmp_path: Path) -> None:
    policy = load(None, tmp_path, RULES)
    assert (policy.source, policy.preset, policy.gate.fail_on) == ("", "finetune", FailOn.ERROR)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("presett = 'strict'", "presett: there is no such key; did you mean preset?"),
        ("preset = 'fintune'", "preset: 'fintune' is not valid; did you mean finetune?"),
        ("[rules]\nhokey-stick = 'off'", "rules.hokey-stick: there is no rule 'hokey-stick'; did you mean hockey-stick?"),
        ("[rules]\nhockey-stick = 'eror'", "rules.hockey-stick: 'eror' is not valid; did you mean error?"),
        ("[rules]\nLD9 = 'off'", "rules.LD9: there is no rule 'LD9'"),
        (
            "[limits]\n'hockey-stick.eval_ris' = 0.1",
            "limits.hockey-stick.eval_ris: hockey-stick has no threshold 'eval_ris'; did you mean eval_rise?",
        ),
        ("[limits.hockey-stick]\neval_rise = 0.9", "limits.hockey-stick.eval_rise: 0.9 is outside of 0.01 to 0.5"),
        ("[limits]\n'divergence.rise' = 9", "limits.divergence.rise: 9 is outside of 1.05 to 5 x"),
        ("[limits]\n'divergence.rise' = nan", "limits.divergence.rise: nan is outside"),
        ("[limits]\n'divergence.rise' = 'a'", "limits.divergence.rise: a number is needed here, not 'a'"),
        ("[limits]\n'hockey-stick.signal' = 1", "limits.hockey-stick.signal: this threshold is no number"),
        ("[limits]\nhockey-stick = 0.1", "a limit is written"),
        ("[limits]\n'hockey-stick.eval_rise' = true", "a number is needed here, not true or false"),
        ("[gate]\nfail_on = 'errors'", "gate.fail_on: 'errors' is not valid; did you mean error?"),
        ("[gate]\nmin_evals = -1", "gate.min_evals: Expected `int` >= 0"),
        ("[gate]\nmin_evals = 1.5", "gate.min_evals: a whole number is needed here, not 1.5"),
        ("[gate]\nrequire_signals = 'eval/loss'", "gate.require_signals: a list is needed here, not 'eval/loss'"),
        ("[gate]\nfail_on = 'new-error'\nbaseline = []", "gate.baseline: new-error needs at least one report"),
        ("gate = 3", "gate: a table is needed here, not 3"),
        ("[[suppress]]\nrule = 'hockey-stick'", "suppress[0].reason: this key is required"),
        ("[[suppress]]\nrule = 'hockey-stick'\nreason = ''", "suppress[0].reason: Expected `str` of length >= 1"),
        ("[[suppress]]\nrule = 'x'\nreason = 'y'", "suppress[0].rule: there is no rule 'x'"),
        ("[[suppress]]\nrule = 'hockey-stick'\nreason = 'y'\nuntil = 'soon'", "suppress[0].until: Invalid RFC3339"),
        (
            "[[suppress]]\nrule = 'hockey-stick'\nreason = 'y'\nuntil = 2027",
            "suppress[0].until: a date such as 2027-01-31 is needed here, not 2027",
        ),
        ("[[override]]\nrules = {}", "override[0].run: this key is required"),
        ("[[override]]\nrun = '*'\nrules = { hockey = 'off' }", "override[0].rules.hockey: there is no rule 'hockey'"),
        ("[[override]]\nrun = '*'\nfail_on = 'never'", "override[0].fail_on: there is no such key"),
        ("[rules]\n\n=", "not valid TOML: Invalid statement (at line 3, column 1"),
        ("preset = ", "not valid TOML: Invalid value (at end of document"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load(path, tmp_path, RULES)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_a_threshold_that_counts_is_a_whole_number(tmp_path: Path) -> None:
    rules = shipped()
    with pytest.raises(UsageError, match=r"limits.loss-spike.window: 16.5 is not a whole number of rows"):
        load(write(tmp_path, "[limits]\n'loss-spike.window' = 16.5"), tmp_path, rules)
    spike = next(rule for rule in rules if rule.name == "loss-spike")
    assert isinstance(arguments(spike, {"loss-spike.window": 16.0})["window"], int)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(write(tmp_path, "[rules]\nhokey = 'off'\n[limits]\n'divergence.x' = 1"), tmp_path, RULES)
    assert len(str(caught.value).splitlines()) == 2


def test_a_given_file_must_be_there_and_hold_a_policy(tmp_path: Path) -> None:
    with pytest.raises(PathMissing):
        load(tmp_path / "none.toml", tmp_path, RULES)
    with pytest.raises(UsageError, match="no table"):
        load(write(tmp_path, "[tool.ruff]", "pyproject.toml"), tmp_path, RULES)
    with pytest.raises(UsageError, match="not a regular file"):
        load(tmp_path, tmp_path, RULES)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "latin.toml", tmp_path, RULES)


@pytest.mark.parametrize("given", [lambda: RULES, shipped], ids=["samples", "shipped"])
@pytest.mark.parametrize("uncommented", [False, True])
def test_the_init_text_is_a_valid_policy(tmp_path: Path, given: Callable[[], tuple[Rule, ...]], uncommented: bool) -> None:
    rules = given()
    text = init_text(rules)
    if uncommented:
        text = re.sub(r'^# (?=[\w-]+ = |\[\[|")', "", text, flags=re.MULTILINE)
    policy = load(write(tmp_path, text), tmp_path, rules)
    assert policy.preset == "finetune"
    assert len(policy.suppressions) == uncommented
    jsonschema.validate(plain(tomllib.loads(text)), schema(rules))


def plain(value: object) -> object:
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.isoformat() if isinstance(value, date) else value


def test_the_schema_accepts_and_refuses_what_load_does() -> None:
    checker = jsonschema.Draft202012Validator(schema(RULES))
    checker.check_schema(schema(RULES))
    assert checker.is_valid(plain(tomllib.loads(FULL)))
    for bad in ("[limits]\n'hockey-stick.eval_rise' = 0.9", "[rules]\nhokey = 'off'", "[[suppress]]\nrule = 'divergence'", "[gate]\nx = 1"):
        assert not checker.is_valid(plain(tomllib.loads(bad))), bad


def test_the_presets_name_rules_that_exist() -> None:
    names = {rule.name for rule in shipped()}
    for preset in PRESETS.values():
        levels = preset.get("rules", {})
        assert isinstance(levels, dict)
        assert set(levels) <= names
