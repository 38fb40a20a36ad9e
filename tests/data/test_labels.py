"""Labels: read as prompts, a token each, before every part of their text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mgan import config
from mgan.data import corpus, readers, tokenizers
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import FIRST_LABEL, Tokenizer
from mgan.types import UserError

LABELS = ("bad one", "good", "坏")


def written(path: Path, records: list[Any]) -> config.Data:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return config.Data(path=str(path))


def read(data: config.Data) -> list[Example]:
    return list(readers.read(data, labelled=True))


def trained(kind: str) -> Tokenizer:
    settings = config.Tokenizer.model_validate({"kind": kind, "min_frequency": 1, "vocabulary": 300})
    return tokenizers.train(["a good film\n", "<label good> <eos>"], settings, labels=LABELS)


def test_a_label_is_a_prompt_whatever_else_the_record_holds(tmp_path: Path) -> None:
    data = written(
        tmp_path / "a.jsonl",
        [{"text": "fine", "label": "good", "id": 3}, {"text": "dull", "label": 0}],
    )
    assert read(data) == [Example("good", "fine"), Example("0", "dull")]
    record = {"prompt": "How?", "completion": "well", "label": False, "class": 2}
    named = written(tmp_path / "b.jsonl", [record]).model_copy(update={"label_field": "class"})
    assert read(named) == [], "what was rejected stays out"
    kept = written(tmp_path / "c.jsonl", [{"prompt": "How?", "completion": "well", "label": "polite"}])
    assert read(kept) == [Example("polite", "well")]
    (tmp_path / "d.csv").write_text("text,label\nfine,1\n", encoding="utf-8")
    assert read(config.Data(path=str(tmp_path / "d.csv"))) == [Example("1", "fine")]


def test_without_asking_a_label_is_what_it_was(tmp_path: Path) -> None:
    data = written(tmp_path / "a.jsonl", [{"prompt": "a", "completion": "b", "label": True}])
    assert list(readers.read(data)) == [Example("a", "b")]
    assert list(readers.read(written(tmp_path / "b.jsonl", [{"text": "b", "label": ["x"]}]))) == [Example("", "b")]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"text": "a"}, "needs a class beside every text"),
        ({"text": "a"}, "name your own field with data.label_field"),
        ({"text": "a", "label": None}, "field 'label' is null, and every text needs its class"),
        ({"text": "a", "label": ""}, "field 'label' is empty, and every text needs its class"),
        ("a", 'as in the .jsonl line {"text": "A film to see twice.", "label": "positive"}'),
        ("a", "found a text alone"),
        ({"text": "a", "label": True}, "must be a class, a string or a whole number, found true or false"),
        ({"text": "a", "label": 0.5}, "found a number 0.5: write it as 1, or in quotes"),
        ({"body": "a", "label": "x"}, "expected a field 'text'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(record: Any, said: str, tmp_path: Path) -> None:
    data = written(tmp_path / "a.jsonl", [{"text": "fine", "label": "good"}, record])
    if isinstance(record, dict) and "body" in record:
        data = written(tmp_path / "a.jsonl", [record])
    with pytest.raises(UserError, match=r"a\.jsonl, line [12]: .*") as error:
        read(data)
    assert said in str(error.value)


def test_a_corpus_knows_its_labels_and_a_text_of_two_labels_is_in_one_split(tmp_path: Path) -> None:
    records = [{"text": f"text {i}", "label": label} for i in range(60) for label in ("x", "y")]
    data = written(tmp_path / "a.jsonl", [*records, records[0]])
    found = corpus.build(data, tmp_path, labelled=True)
    assert (
        found.labels == ("x", "y")
        and "2 labels, with the number of training texts: x" in found.description
        and "1 duplicates" in found.description
    )
    for label in ("x", "y"):
        count = sum(example.prompt == label for example in found.train)
        assert count > 40 and f"{label} {count}" in found.description
    assert "Too few" not in found.description and "One label" not in found.description
    splits = [{example.text for example in split} for split in (found.train, found.validation, found.test)]
    assert sum(map(len, splits)) == 60 and sum(map(len, (found.train, found.validation, found.test))) == 120
    assert corpus.build(data, tmp_path).labels == (), "and without asking it is another corpus"
    assert len(corpus.build(data, tmp_path).train) < len(found.train)


def test_labels_with_next_to_no_texts_are_told(tmp_path: Path) -> None:
    records = [{"text": f"text {i}", "label": "x"} for i in range(30)]
    alone = corpus.build(written(tmp_path / "a.jsonl", records), tmp_path, labelled=True).description
    assert "1 label, with the number of training texts: x " in alone and "One label tells nothing apart" in alone
    more = [*records, {"text": "text 1", "label": "y"}]
    said = corpus.build(written(tmp_path / "b.jsonl", more), tmp_path, labelled=True).description
    assert "Too few to learn from, fewer than 2: y;" in said and "One label" not in said


def test_texts_are_no_labels(tmp_path: Path) -> None:
    data = written(tmp_path / "a.jsonl", [{"text": f"text {i}", "label": f"{i}"} for i in range(101)])
    with pytest.raises(UserError, match="holds 101 different classes, and at most 100 are taken"):
        corpus.build(data, tmp_path, labelled=True)


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_a_label_is_one_token_that_no_text_holds(kind: str, tmp_path: Path) -> None:
    tokenizer = trained(kind)
    given = tokenizer.prompts([Example(label, "") for label in LABELS])
    assert given == [[tokenizer.bos, FIRST_LABEL + i] for i in range(3)]
    assert {FIRST_LABEL, FIRST_LABEL + 1, FIRST_LABEL + 2} <= set(tokenizer.never)
    for text in ("<label good>", "<label bad one> film", "good"):
        assert not set(tokenizer.encode(text)) & {4, 5, 6}
    assert tokenizer.decode([FIRST_LABEL, *tokenizer.encode("a film")]) == tokenizer.decode(tokenizer.encode("a film"))
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.labels == LABELS and again.prompts([Example("good", "")]) == given[1:2]
    with pytest.raises(UserError, match="'great' is no label of this run's texts, which are 'bad one', 'good', '坏'"):
        again.prompts([Example("great", "")])


def test_an_encoders_source_is_the_label_between_its_marks() -> None:
    texts = tokenizers.train(["abc"], config.Tokenizer(kind="char", min_frequency=1), sources=True, labels=LABELS)
    assert texts.prompts([Example("good", "")]) == [[texts.bos, FIRST_LABEL + 1, texts.eos]]


def test_the_label_stands_before_every_window_of_a_long_text() -> None:
    tokenizer, text = trained("char"), "a good film" * 5
    rows = encode([Example("good", text)], tokenizer, context=16)
    cut = [rows.row(i) for i in range(len(rows))]
    assert len(cut) > 4 and all(tokens[:2] == [tokenizer.bos, FIRST_LABEL + 1] for tokens, _ in cut)
    written = [token for tokens, given in cut for token in tokens[given:]]
    assert written == [*tokenizer.encode(text), tokenizer.eos]
