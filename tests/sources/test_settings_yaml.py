"""YAML of unknown origin: what is read, what is refused, and that nothing in it is built."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.errors import Unreadable
from lossdoctor.sources.settings import yaml_subset
from lossdoctor.sources.settings.yaml_subset import load


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(yaml, "CSafeLoader", yaml.SafeLoader, raising=False)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML without libyaml")


HPARAMS = """\
batch_size: 24
learning_rate: 1e-4
ok: yes
nothing: ~
quoted: '12'
path: "a: b"
betas: !!python/tuple
- 0.9
- 0.99
loss: !!python/object:neuralforecast.losses.pytorch.MAE
  _buffers: {}
  _hooks: !!python/object/apply:collections.OrderedDict
  - []
  training: true
dtype: !!python/name:torch.float32 ''
call: !!python/object/apply:os.system ['touch canary']
shared: &one 0.1
again: *one
whole: &all {a: 1}
alias: *all
"""


def test_lightning_hparams_with_python_tags() -> None:
    assert load(HPARAMS) == {
        "batch_size": 24,
        "learning_rate": 1e-4,
        "ok": True,
        "nothing": None,
        "quoted": "12",
        "path": "a: b",
        "betas": [0.9, 0.99],
        "loss": None,
        "dtype": None,
        "call": None,
        "shared": 0.1,
        "again": 0.1,
        "whole": {"a": 1},
        "alias": None,
    }


def test_only_the_first_document_counts() -> None:
    assert load("a: 1\n---\nb: 2\n") == {"a": 1}
    assert load("") is None
    assert load("just text") == "just text"


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20))
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(f"k{n}: &k{n} {{<<: [*a, *a, *a, *a]}}\n" for n in range(30))
REFUSED = {
    "merge key": (MERGE_BOMB, "merge key"),
    "deep flow": ("[" * 200_000, "nested deeper"),
    "deep block": ("\n".join(" " * n + "a:" for n in range(300)), "nested deeper"),
    "many events": ("[" + "1," * 60_000 + "]", "events"),
    "too long": ("#" * 300_000, "bytes"),
    "syntax": ("a: [1, 2\nb: }", "broken YAML"),
    "control characters": ("a: \x01", "broken YAML"),
    "unknown alias": ("a: *nowhere", None),
    "surrogate": ("a: \udc80", "broken YAML"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    text, why = REFUSED[name]
    started = time.process_time()
    if why is None:
        assert load(text) == {"a": None}
    else:
        with pytest.raises(Unreadable, match=why):
            load(text)
    assert time.process_time() - started < 5


def test_an_alias_bomb_is_never_expanded() -> None:
    value = load(BOMB)
    assert value["a"] == ["x"] * 9
    assert value["b"] == [None] * 9


scalars = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
words = st.text("abcdefgh _-", min_size=1)
trees: st.SearchStrategy[Any] = st.recursive(
    scalars | words, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=15
)


@given(trees)
def test_what_pyyaml_writes_is_read_back(tree: Any) -> None:
    assert load(yaml.safe_dump(tree)) == tree


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = load(text)
    except Unreadable:
        return
    assert value is None or isinstance(value, str | int | float | bool | list | dict)


def test_the_bounds_are_far_above_real_files() -> None:
    text = "".join(f"name_{n}: {n}\n" for n in range(2000))
    assert len(text) < yaml_subset.MAX_BYTES
    assert len(load(text)) == 2000
