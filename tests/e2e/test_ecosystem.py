"""A finished run out in the world: served, as a reward, on the hub, its cards telling what was found."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import mgan
from mgan.cli.main import main
from mgan.data.examples import answer
from mgan.evaluation.reproduce import command, overrides
from mgan.settings import load_config
from mgan.training import publish
from mgan.training.run import Run
from mgan.types import UserError

QUICK = ["evaluation.discriminator_steps=3", "evaluation.samples=8", "evaluation.temperatures=[0.9]"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, sentences: Path) -> Path:
    """A run whose generator is our GPT-2."""
    place = tmp_path_factory.mktemp("runs") / "own"
    more = ["generator.architecture=transformer", "game.kl=0.07"]
    return mgan.train(sentences, run=place, overrides=[*QUICK, *more], smoke=True, seed=3).path


@pytest.fixture(scope="module")
def adapted(
    tmp_path_factory: pytest.TempPathFactory, pretrained: Callable[..., Path], tiny_bert: Path, questions: Path
) -> Path:
    """A run of pretrained players, the discriminator a classifier."""
    place = tmp_path_factory.mktemp("runs") / "adapted"
    judge = [f"discriminator.pretrained={tiny_bert}", "discriminator.architecture=classifier", "game.signal=sequence"]
    model = f"generator.pretrained={pretrained('llama')}"
    return mgan.train(questions, run=place, overrides=[*QUICK, *judge, model], smoke=True).path


def told(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_our_gpt2_says_all_that_a_server_asks_for(own: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, pair = own / "generator", mgan.load(own)
    config, generation = told(folder, "config.json"), told(folder, "generation_config.json")
    assert config["architectures"] == ["GPT2LMHeadModel"] and config["model_type"] == "gpt2"
    assert config["eos_token_id"] == pair.tokenizer.eos and generation["eos_token_id"] == [pair.tokenizer.eos]
    assert (generation["temperature"], generation["top_k"]) == (0.9, 0) and pair.temperature == 0.9
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    given = tokenizer("the old", return_tensors="pt").input_ids
    assert given[0].tolist() == [pair.tokenizer.bos, *pair.tokenizer.encode("the old")]
    drawn = model.generate(given, do_sample=False, max_length=pair.context, pad_token_id=pair.tokenizer.pad)
    text = tokenizer.decode(drawn[0][given.shape[1] :], skip_special_tokens=True)
    assert text == pair.generate("the old", n=1, temperature=0.01)[0]


def test_a_chat_ends_where_the_template_ends_a_turn(adapted: Path) -> None:
    folder, pair = adapted / "generator", mgan.load(adapted)
    generation = told(folder, "generation_config.json")
    assert pair.tokenizer.eos in generation["eos_token_id"]
    assert (folder / "chat_template.jinja").exists() or "chat_template" in told(folder, "tokenizer_config.json")
    assert told(folder, "config.json")["architectures"] == ["LlamaForCausalLM"]
    assert list(folder.glob("*.safetensors")) and (folder / "tokenizer.json").exists()


def test_a_saved_classifier_is_one_to_any_pipeline(adapted: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    folder = adapted / "discriminator"
    config = told(folder, "config.json")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert config["pad_token_id"] == tokenizer.pad_token_id is not None
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert model.config.num_labels == 1
    pair = mgan.load(adapted)
    # What the discriminator reads of a prompt is what the generator was given, in its chat template.
    given = pair.tokenizer.decode(pair.tokenizer.prompts([answer("2 plus 2? ", "")])[0])
    assert "user" in given and "2 plus 2?" in given
    with torch.no_grad():
        logit = model(**tokenizer(given, "4", return_tensors="pt")).logits[0, 0]
    (score,) = pair.score(["4"], ["2 plus 2? "])
    assert float(logit.sigmoid()) == pytest.approx(score, abs=1e-6)
    said = pipeline("text-classification", str(folder))("4")[0]
    alone = mgan.load(adapted).score(["4"])[0]
    assert said["label"] == "real" and said["score"] == pytest.approx(alone, abs=1e-6)


def test_a_discriminators_folder_is_a_reward_of_trl(adapted: Path, pretrained: Any, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    import datasets

    args = trl.GRPOConfig(
        output_dir=str(tmp_path), max_steps=2, num_generations=2, per_device_train_batch_size=4, logging_steps=1,
        max_completion_length=6, save_strategy="no", use_cpu=True, bf16=False, report_to="none", disable_tqdm=True,
    )  # fmt: skip
    rows = [{"prompt": f"{n} plus 1? "} for n in range(8)]
    training = trl.GRPOTrainer(
        model=str(pretrained("gpt2")), reward_funcs=str(adapted / "discriminator"), args=args,
        train_dataset=datasets.Dataset.from_list(rows),
    )  # fmt: skip
    training.train()
    paid = [line["rewards/discriminator/mean"] for line in training.state.log_history if "reward" in line]
    assert len(paid) == 2 and all(value == value for value in paid)


@pytest.mark.parametrize("form", ["string", "chat"])
def test_a_run_pays_the_logit_of_its_score(own: Path, form: str) -> None:
    from mgan.integrations.trl import reward

    prompts, texts = ["", ""], ["the old cat sees the house.", "cat cat"]
    expected = torch.tensor(mgan.load(own).score(texts)).logit().tolist()
    completions: list[Any] = list(texts)
    if form == "chat":
        prompts = [[{"role": "user", "content": "Hi"}]] * 2  # type: ignore[list-item]
        expected = torch.tensor(mgan.load(own).score(texts, [(("user", "Hi"),)] * 2)).logit().tolist()
        completions = [[{"role": "assistant", "content": text}] for text in texts]
    assert reward(own)(prompts=prompts, completions=completions) == pytest.approx(expected, abs=1e-4)
    assert reward(own / "discriminator")(prompts, completions) == pytest.approx(expected, abs=1e-4)


def header(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def test_the_cards_say_what_the_results_say(own: Path, adapted: Path) -> None:
    for run in (own, adapted):
        results, config = Run.open(run).results, Run.open(run).config
        for player in ("generator", "discriminator"):
            card = (run / player / "README.md").read_text(encoding="utf-8")
            assert results["verdict"]["sentence"] in card and results["data"]["fingerprint"] in card
            assert command(config) in card and "license" not in header(card)
            nll = results["systems"]["adversarial"]["nll_per_token"]
            assert f"{nll['value']:.3f} [{nll['low']:.3f}, {nll['high']:.3f}]" in card
            assert str(Path(config.data.path).parent) not in card
    card = header((own / "generator" / "README.md").read_text(encoding="utf-8"))
    assert card["library_name"] == "transformers" and card["pipeline_tag"] == "text-generation"
    assert "base_model" not in card and "language" not in card
    assert header((own / "discriminator" / "README.md").read_text(encoding="utf-8"))["library_name"] == "mgan"


def test_the_report_writes_the_cards_again(own: Path) -> None:
    card = own / "generator" / "README.md"
    before = card.read_text(encoding="utf-8")
    card.unlink()
    mgan.report(own)
    assert card.read_text(encoding="utf-8") == before


def test_the_command_of_a_card_asks_for_the_same(own: Path, adapted: Path, tmp_path: Path) -> None:
    assert "game.kl=0.07" in overrides(Run.open(own).config)
    for run in (own, adapted):
        config = Run.open(run).config
        _, _, *words = shlex.split(command(config))
        recipe = words.pop(0) if "=" not in words[0] and not words[0].startswith("-") else "mgan"
        given: dict[str, Any] = {}
        for option, field in (("--data", "data.path"), ("--model", "generator.pretrained"), ("--seed", "seed")):
            if option in words:
                at = words.index(option)
                given[field] = words[at + 1]
                del words[at : at + 2]
        smoke = "--smoke" in words
        again = load_config(recipe, [w for w in words if w != "--smoke"] + [f"{k}={v}" for k, v in given.items()],
                            smoke=smoke)  # fmt: skip
        assert smoke and re.sub(r"/\S*/", "", again.model_dump_json()) == re.sub(
            r"/[^\"\s]*/", "", config.model_dump_json()
        )


class Hub:
    """A stand-in for huggingface_hub.HfApi that keeps what it is given."""

    repositories: dict[str, bool]
    uploaded: dict[str, bytes]

    def create_repo(self, name: str, *, private: bool, exist_ok: bool, repo_type: str) -> Any:
        from huggingface_hub import RepoUrl

        assert exist_ok and repo_type == "model"
        self.repositories[name] = private
        return RepoUrl(f"https://huggingface.co/{name}")

    def create_commit(self, name: str, operations: list[Any], *, commit_message: str, **_: Any) -> None:
        assert name in self.repositories and commit_message.startswith("mgan: ")
        for operation in operations:
            content = operation.path_or_fileobj
            self.uploaded[operation.path_in_repo] = (
                content if isinstance(content, bytes) else Path(content).read_bytes()
            )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    Hub.repositories, Hub.uploaded = {}, {}
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    yield Hub


def test_both_players_are_pushed_and_nothing_of_the_machine(
    adapted: Path, hub: type[Hub], tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "argv", ["mgan", "push", str(adapted), "me/quiz", "--private"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0 and capsys.readouterr().out == "https://huggingface.co/me/quiz\n"
    assert hub.repositories == {"me/quiz": True}
    needed = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "README.md"}
    names = set(hub.uploaded)
    assert needed <= names
    assert {f"discriminator/{name}" for name in needed - {"generation_config.json"}} <= names
    private = [str(tmp_path.parents[1]).encode(), str(Path.home()).encode() + b"/"]
    for name, content in hub.uploaded.items():
        if not name.endswith(".safetensors"):
            assert not [word for word in private if word in content], name
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes(hub.uploaded[name])
    told = {"a": ["/home/u/a", "~/b", "../c/d", "/"], "chat": "/ not a path", "of": "org/name", "p": {"q": "./x/y"}}
    assert publish._named(told) == {
        "a": ["a", "b", "d", "/"],
        "chat": "/ not a path",
        "of": "org/name",
        "p": {"q": "y"},
    }
    from transformers import AutoConfig

    assert AutoConfig.from_pretrained(tmp_path).architectures == ["LlamaForCausalLM"]


def test_an_unreachable_hub_is_one_sentence(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(Hub, "create_repo", refuse)
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    with pytest.raises(UserError, match=r"no route to host\); it is finished and whole: .* mgan push own me/own"):
        publish.push(own, "me/own")


def test_a_run_that_cannot_push_is_finished_all_the_same(
    sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: type[Hub]
) -> None:
    from mgan.types import Silent

    class Heard(Silent):
        said: list[str] = []  # noqa: RUF012

        def say(self, sentence: str) -> None:
            self.said.append(sentence)

    fields = {"overrides": ["push_to_hub=me/tiny", *QUICK], "smoke": True, "recipe": "mle"}
    mgan.train(sentences, run=tmp_path / "pushed", progress=Heard(), **fields)
    assert hub.repositories == {"me/tiny": True} and "pushed to https://huggingface.co/me/tiny" in Heard.said
    card = hub.uploaded["README.md"].decode()
    assert "push_to_hub" not in card
    monkeypatch.setattr(Hub, "create_commit", lambda *_, **__: 1 / 0)
    run = mgan.train(sentences, run=tmp_path / "refused", progress=Heard(), **fields)
    assert run.finished and "type mgan push refused me/tiny" in Heard.said[-1]


def test_a_name_that_is_none_and_a_run_that_goes_on(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"push_to_hub must be a repository's name, as owner/name, not 'a b'"):
        load_config(overrides=["push_to_hub=a b"])
    unfinished = Run.create(tmp_path / "begun", Run.open(own).config)
    with pytest.raises(UserError, match="begun is not finished: type mgan resume begun"):
        publish.push(unfinished.path, "me/x")
