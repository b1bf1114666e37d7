"""The vital signs: the same answers in every format, trouble first seen, nothing told twice, hostile words inert."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import jsonschema
import pytest
from junitparser import JUnitXml

from lossdoctor.model import Diagnosis, Finding, Gate, State, Verdict, Vital
from lossdoctor.reporters import json_report, render
from lossdoctor.reporters.advice import DO_NOW, LOG_NEXT, heading, next_steps
from lossdoctor.reporters.notebook import to_frame, vitals_frame
from lossdoctor.reporters.prepare import prepare
from lossdoctor.reporters.signs import beside, seen, signs
from lossdoctor.reporters.wording import unbroken

from .samples import ALL, HOSTILE, SEEN, TITLES, healthy, hockey_stick, many, memory, nan_loss, no_data, plateau, short, vitals

FORMATS = ("text", "concise", "md", "json", "jsonl", "html", "junit", "sarif", "github", "gitlab", "alerts")


def rows(d: Diagnosis, **options: bool) -> list[tuple[str, str, str]]:
    return [(row.tone, row.titles, row.says) for row in signs(d, **options)]


def flat(text: str) -> str:
    return " ".join(text.split())


def cell_text(markup: str) -> str:
    return flat(html.unescape(re.sub(r"<[^>]+>", " ", markup)).replace("\u00a0", " "))


def strip(page: str) -> list[str]:
    """The rows of the page's list, as a reader without colours sees them."""
    section = re.search(r'<section class="vitals".*?</section>', page, re.DOTALL)
    return [cell_text(row) for row in re.findall(r"<li .*?</li>", section[0], re.DOTALL)] if section else []


def test_bad_and_unknown_stand_alone_and_good_ones_share_a_row_in_the_order_of_the_questions() -> None:
    d = hockey_stick()
    found = rows(d)
    assert [(tone, titles) for tone, titles, _ in found] == [
        ("good", "finite numbers, plausible level, learning, kept its gains, steady"),
        ("error", "generalises"),
        ("good", "complete"),
        ("unknown", "machine"),
    ]
    assert [vital for row in signs(d) for vital in row.vitals] == list(d.vitals)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("every", [False, True])
def test_no_vital_is_lost_or_moved(name: str, every: bool) -> None:
    d = ALL[name]()
    found = signs(d, every=every)
    assert tuple(vital for row in found for vital in row.vitals) == d.vitals
    assert all({vital.state for vital in row.vitals} == {row.state} for row in found)
    assert not every or all(len(row.vitals) == 1 for row in found)


def test_what_a_verdict_of_health_rests_on_is_told_and_the_headline_is_not_told_again() -> None:
    told = {titles: says for _, titles, says in rows(healthy())}
    assert told["finite numbers"] == SEEN["finite"]
    assert told["learning"] == ""
    assert told["steady, generalises, complete"] == ""
    assert healthy().headline == SEEN["learning"]


def test_a_bad_one_names_its_findings_but_not_those_that_they_explain() -> None:
    (bad,) = [row for row in signs(nan_loss()) if row.state is State.BAD]
    assert [(mark, f.rule) for mark, f in bad.blamed] == [("A", "nan-loss")]
    assert nan_loss().vitals[0].findings == ("nan-loss", "exploding-gradients")
    both = next(row for row in signs(memory()) if row.titles == "machine")
    assert [(mark, f.rule) for mark, f in both.blamed] == [("A", "out-of-memory"), ("B", "throughput-drop")]


def test_where_the_headline_is_the_finding_the_row_only_leads_to_it() -> None:
    d = plateau()
    d = replace(d, headline=d.findings[0].message)
    assert strip(render([d], "html"))[0] == "▲ bad learning A: Plateau at a high loss"
    assert "| **learning** | A. Plateau at a high loss |" in render([d], "md")
    for form in ("text", "md", "html"):
        above = render([d], form).partition("The curves")[0].partition("### Impact")[0]
        assert cell_text(above.partition("</style>")[2] or above).count("for 2900 of 3000 steps") == 1


def test_a_warning_is_not_shown_as_an_error() -> None:
    assert ("warning", "learning") in [row[:2] for row in rows(plateau())]
    assert "▲ bad      learning" in render([plateau()], "text")
    assert "▲ bad learning" in strip(render([plateau()], "html"))[0]
    assert "| ⚠️ bad | **learning** |" in render([plateau()], "md")


def test_a_finding_that_the_policy_suppressed_leaves_its_vital_bad_and_says_so() -> None:
    d = replace(plateau(), findings=())
    row = next(row for row in signs(d) if row.state is State.BAD)
    assert (row.tone, row.hidden, row.blamed) == ("warning", ("plateau",), ())
    for form in ("text", "md", "html"):
        assert re.search(r"plateau.{0,20}suppressed by the policy", flat(render([d], form)))
    assert "flat at 3.41" in flat(render([d], "text"))


def test_neighbours_that_are_unknown_for_the_same_reason_share_a_row_and_an_order_is_given_once() -> None:
    lost = dict.fromkeys(("learning", "kept", "steady"), ("No loss was found.", "Name the column: --metric train/loss=NAME."))
    d = replace(short(), headline="Nothing was read.", vitals=vitals(unknown=lost | {"machine": lost["learning"]}))
    found = [row for row in signs(d) if row.state is State.UNKNOWN]
    assert [row.titles for row in found] == ["learning, kept its gains, steady", "machine"]
    assert [row.wanted for row in found] == ["Name the column: --metric train/loss=NAME.", ""]
    assert flat(render([d], "text")).count("--metric train/loss=NAME") == 1


def test_the_terminal_shows_them_right_under_the_verdict() -> None:
    lines = render([hockey_stick()], "text").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("  ✓ good"))
    assert lines[first : first + 4] == [
        "  ✓ good     finite numbers, plausible level, learning, kept its gains, steady",
        "  ✗ bad      generalises  A  Overfitting after epoch 1",
        "  ✓ good     complete",
        "  ? unknown  machine      Neither speed nor memory was logged.",
    ]
    assert any("✗ FAIL" in line for line in lines[:first])
    assert not any("train loss" in line for line in lines[:first])


def test_an_ascii_console_has_words_and_signs_of_its_own() -> None:
    text = render([hockey_stick()], "text", unicode=False)
    assert "  x bad      generalises" in text
    assert "  + good     complete" in text
    assert "-> Evaluate every 5 %" in render([short()], "text", unicode=False)


def test_verbose_tells_every_sentence_and_quiet_a_single_line() -> None:
    loud = flat(render([hockey_stick()], "text", verbosity=1))
    for vital in hockey_stick().vitals:
        assert vital.says in loud
    assert "torch.cuda.memory_allocated()" in loud
    assert "torch.cuda.memory_allocated()" not in render([hockey_stick()], "text")
    quiet = render([hockey_stick()], "text", verbosity=-1)
    assert len(quiet.splitlines()) == 3
    assert "good" not in quiet


def test_colour_is_never_the_only_sign() -> None:
    coloured = render([memory()], "text", colour=True)
    for line in coloured.splitlines():
        if re.search(r"\x1b\[1;31m[^\x1b]*(complete|machine)", line):
            assert "✗ bad" in line
    assert "\x1b[1;31m✗ bad    \x1b[0m" in coloured
    assert "\x1b[2m✓ good   \x1b[0m" in coloured


def test_a_run_without_a_verdict_says_what_was_seen_what_is_missing_and_how_to_log_it() -> None:
    d = short()
    text = flat(render([d], "text"))
    assert text.index(d.headline) < text.index("All 5 losses") < text.index("? unknown kept its gains 5 rows:")
    assert text.count("12 rows would do") == 1
    assert text.count("Use checkpoint-50") == 1
    assert text.count("eval_steps=0.05") == 1
    assert "nothing can be said" not in text.lower()
    steps = next_steps(d)
    assert [(s.title, s.detail) for s in steps] == [
        ("Log every 10 steps: 12 rows would do", "That would answer: learning, kept its gains, steady."),
        ("Evaluate every 5 % of the steps: eval_strategy='steps', eval_steps=0.05", "That would answer: generalises."),
        ("Keep training_args.bin beside the log, or pass --set max_steps=N", "That would answer: complete."),
    ]
    assert heading(steps) == LOG_NEXT
    assert "### What to log next time" in render([d], "md")
    page = cell_text(render([d], "html").partition("<details><summary><strong>8 vital signs")[0])
    assert page.index("Use checkpoint-50 (whole).") < page.index("What to log next time") < page.index("Vital signs")
    assert page.count("eval_steps=0.05") == 1
    assert page.count("torch.cuda.memory_allocated()") == 1


def test_what_a_verdict_waits_for_comes_before_what_would_be_nice_to_know() -> None:
    unknown = {"kept": ("Too few.", "Log more."), "machine": ("Not logged.", "Log memory.")}
    d = replace(short(), vitals=tuple(reversed(vitals(unknown=unknown))))
    assert [step.title for step in next_steps(d)] == ["Log more", "Log memory"]


def test_damage_is_repaired_before_anything_is_logged() -> None:
    d = replace(no_data(), vitals=short().vitals)
    steps = next_steps(d)
    assert steps[0].title.startswith("Repair the input")
    assert steps[1].title.startswith("Log every 10 steps")
    assert heading(steps) == DO_NOW


def test_the_steps_say_what_to_log_and_the_rows_beside_them_do_not() -> None:
    kept = beside(signs(short()), next_steps(short()))
    assert [row.wanted for row in kept if row.wanted] == [short().vitals[-1].wanted]


def test_a_healthy_run_shows_what_to_use_what_was_seen_and_what_was_not() -> None:
    d = healthy()
    assert seen(d) == "7 of 8 vital signs are good. Not seen: machine."
    assert seen(replace(d, vitals=vitals())) == "8 of 8 vital signs are good."
    page = cell_text(render([d], "html").partition("<main>")[0])
    for text in (page, render([d], "md")):
        assert "Use checkpoint-4000 (whole)." in text.replace("**", "")
        assert "Not seen: machine." in text
        assert "Curves cannot show silent bugs" in text
    assert "checkpoint  Use checkpoint-4000 (whole). It has the lowest eval loss" in render([d], "text")


def test_a_healthy_run_without_a_checkpoint_is_not_blamed_for_it() -> None:
    bare = replace(healthy(), checkpoint=type(healthy().checkpoint)(reason="no checkpoint was found"))
    assert "No checkpoint to use" not in render([bare], "text")
    assert "No checkpoint to use" in render([replace(bare, verdict=Verdict.FAIL)], "text")


def test_the_page_tells_them_by_glyph_word_and_sentence_and_leads_to_the_card() -> None:
    page = render([memory()], "html")
    found = strip(page)
    assert found[-1] == "✓ good finite numbers, plausible level, learning, kept its gains, steady"
    assert [row.split()[1] for row in found] == ["bad", "bad", "unknown", "good"]
    assert found[0].startswith("✗ bad complete The process died at step 900")
    assert found[1].endswith("A: CUDA ran out of memory B: Throughput fell to a third")
    section = re.search(r'<section class="vitals".*?</section>', page, re.DOTALL)[0]
    targets = re.findall(r'href="#([^"]+)"', section)
    assert targets == ["out-of-memory", "out-of-memory", "throughput-drop"]
    assert all('<section class="card' in page and f'id="{target}"' in page for target in targets)


def test_every_error_and_warning_has_a_card_of_its_own_even_where_another_explains_it() -> None:
    d = nan_loss()
    d = replace(d, vitals=vitals({"finite": (d.findings[0],), "steady": (d.findings[1],)}))
    section = re.search(r'<section class="vitals".*?</section>', render([d], "html"), re.DOTALL)[0]
    assert re.findall(r'href="#([^"]+)">([AB]):', section) == [("nan-loss", "A"), ("exploding-gradients", "B")]


def test_every_sentence_and_number_is_on_the_page_of_one_run() -> None:
    page = render([hockey_stick()], "html")
    ledger = re.search(r"<details><summary><strong>8 vital signs.*?</details>", page, re.DOTALL)[0]
    for vital in hockey_stick().vitals:
        assert vital.says in html.unescape(ledger)
    assert "<code>fall</code> 0.49" in ledger


def test_numbers_and_their_signs_stay_on_one_line_of_the_page() -> None:
    page = render([healthy()], "html")
    assert "(-49\u00a0%, ±\u00a02\u00a0%)" in page.partition("</h1>")[0]
    assert json_report.load(page)[0].headline == healthy().headline
    assert unbroken("-28%, +- 8.9 %") == "-28%, +-\u00a08.9\u00a0%"


def test_in_a_page_of_many_runs_every_list_leads_into_its_own_run() -> None:
    page = render(many(7), "html")
    for number, section in enumerate(re.findall(r"<article>.*?</article>", page, re.DOTALL), 1):
        inside = re.search(r'<section class="vitals".*?</section>', section, re.DOTALL)
        targets = re.findall(r'href="#([^"]+)"', inside[0]) if inside else []
        assert all(target.startswith(f"run-{number}-") and f'id="{target}"' in section for target in targets)


def test_json_has_them_in_order_with_every_field() -> None:
    row = json.loads(render([short()], "json"))
    assert [vital["name"] for vital in row["vitals"]] == list(TITLES)
    assert list(row).index("headline") + 1 == list(row).index("vitals")
    for vital in row["vitals"]:
        assert list(vital) == ["name", "title", "state", "says", "numbers", "findings", "wanted", "decisive", "claims"]
    assert [vital["state"] for vital in row["vitals"]] == ["good"] * 2 + ["unknown"] * 6
    assert row["vitals"][2]["wanted"] == "Log every 10 steps: 12 rows would do."


@pytest.mark.parametrize("name", ALL)
def test_every_report_is_valid_by_the_schema(name: str) -> None:
    checker = jsonschema.Draft202012Validator(json_report.schema())
    assert not list(checker.iter_errors(json.loads(render([ALL[name]()], "json", series=True))))


def test_the_schema_refuses_an_answer_that_does_not_exist() -> None:
    checker = jsonschema.Draft202012Validator(json_report.schema())
    row = json.loads(render([short()], "json"))
    row["vitals"][0]["state"] = "fine"
    assert list(checker.iter_errors(row))
    assert json_report.schema()["$defs"]["State"]["enum"] == ["bad", "good", "unknown"]


def test_numbers_that_are_not_finite_come_back() -> None:
    broken = Vital("finite", "finite numbers", State.BAD, "NaN.", {"last": float("inf"), "rows": 3}, ("nan-loss",))
    d = replace(nan_loss(), vitals=(broken,))
    text = render([d], "json")
    assert json.loads(text)["vitals"][0]["numbers"] == {"last": "inf", "rows": 3}
    assert json_report.load(text)[0].vitals == (broken,)


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_from_before_the_vitals_is_shown_as_it_was(form: str) -> None:
    row = json.loads(render([hockey_stick()], "json", series=True))
    del row["vitals"]
    (old,) = json_report.load(json.dumps(row))
    assert old.vitals == ()
    shown = render([old], form)
    assert shown
    assert "ital signs" not in shown.partition("<style>")[0] + shown.partition("</style>")[2]
    assert "0 of 0" not in render([old], form, verbosity=-1)


def test_an_old_report_without_a_verdict_still_says_what_to_log() -> None:
    old = replace(short(), vitals=())
    assert "logging_steps=10" in render([no_data()], "text")
    assert "max_memory_allocated" in flat(render([old], "text"))


def test_a_run_that_could_not_be_read_has_no_vitals_and_no_empty_list() -> None:
    page = render([no_data()], "html")
    assert strip(page) == []
    assert "What to do now" in page


def test_junit_has_them_as_properties_and_words_not_as_cases_that_fail_twice() -> None:
    d = hockey_stick()
    d = replace(d, gate=Gate(False, (d.findings[0].label,)))
    (suite,) = JUnitXml.fromstring(render([d], "junit").encode())
    properties = {p.name: p.value for p in suite.properties()}
    assert properties["vital.generalises"] == "bad"
    assert properties["vital.machine"] == "unknown"
    analysis = next(case for case in suite if case.name == "analysis")
    assert "unknown: machine: Neither speed nor memory was logged. Set include_num_input_tokens_seen=True" in analysis.system_out
    assert suite.failures == 1


def test_concise_has_a_line_of_stable_names() -> None:
    lines = render([hockey_stick()], "concise").splitlines()
    assert lines[-1] == (
        "runs/llama-7b-lora-v1/trainer_state.json: vitals finite=good level=good learning=good kept=good steady=good"
        " generalises=bad complete=good machine=unknown"
    )


def test_an_annotation_of_a_run_without_a_verdict_says_what_is_missing() -> None:
    assert "%0A5 rows: the loss fell from 2.9 to 2.1" in render([short()], "github")


def test_the_notebook_has_a_frame_of_the_questions_and_the_findings_name_theirs() -> None:
    frame = vitals_frame(hockey_stick())
    assert list(frame.index) == list(TITLES)
    assert frame.loc["generalises", "state"] == "bad"
    assert frame.loc["generalises", "findings"] == ("hockey-stick", "overfitting")
    assert list(frame.sort_values("state", kind="stable").index[:2]) == ["generalises", "machine"]
    assert not frame[frame["decisive"] & (frame["state"] != "good")].size
    blamed = to_frame(hockey_stick())["vital"]
    assert blamed[:2].tolist() == ["generalises", "generalises"]
    assert blamed.isna().tolist() == [False, False, True]
    empty = vitals_frame(replace(hockey_stick(), vitals=()))
    assert len(empty) == 0
    assert (empty.dtypes == frame.dtypes).all()


def only(hostile: str) -> Diagnosis:
    """A run in which the vitals alone are hostile, in every field and state."""
    finding = Finding(hostile, "LD101", hostile, plateau().findings[0].severity, 0.5, "m", {}, ())
    made = tuple(
        Vital(f"{hostile}{i}", hostile, state, hostile, {hostile: hostile}, (hostile, "gone"), hostile, True)
        for i, state in enumerate(State)
    )
    return replace(plateau(), headline="h", findings=(finding,), vitals=made)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("form", FORMATS)
def test_hostile_words_in_a_vital_do_nothing(hostile: str, form: str) -> None:
    text = render([only(hostile)], form, verbosity=1)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\ufeff\ud800-\udfff]", text)
    if form == "html":
        assert len(re.findall(r"<script\b", text)) == 2
        body = text.partition("</style>")[2].partition('<script type="application/json"')[0]
        assert not re.search(r"<(img|svg onload|b)\b", body)
    if form == "md":
        table = [line for line in text.splitlines() if line.startswith("| ")]
        assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in table if "**" in line or " good |" in line)
    if form in {"json", "junit"}:
        assert prepare(only(hostile)).vitals == (json_report.load(text)[0].vitals if form == "json" else prepare(only(hostile)).vitals)
