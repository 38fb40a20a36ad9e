from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mgan import plain_yaml
from mgan.config import REWARDS, Adversarial, Config, Section
from mgan.errors import UserError
from mgan.sections import PRETRAINED_JUDGES, likelihood, relaxation, taylor
from mgan.sections.latent import FROM_NOISE
from mgan.sections.values import EVERY_PREFIX, NORMALISED, PAIRS, PAYS, SMOOTHED, WITHOUT_LEVEL
from mgan.settings import (
    FIELDS,
    SECTIONS,
    batch_sentence,
    describe,
    dump,
    load_config,
    recipe_header,
    recipe_names,
    recipe_path,
)

MANY_DIGITS = 10**12
# A whole tree takes minutes to shrink and is readable as it is.
whole_trees = settings(max_examples=20, deadline=None, phases=[Phase.generate])


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Whatever a field's JSON schema allows."""
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "string":
            return st.text(min_size=schema.get("minLength", 0), max_size=20)
        case "integer":
            return st.integers(schema.get("minimum", 0), MANY_DIGITS)
        case "array":
            fewest, unique = schema.get("minItems", 0), schema.get("uniqueItems", False)
            return st.lists(values(schema["items"]), min_size=fewest, max_size=4, unique=unique)
    low, high = (
        schema.get(f"exclusive{side}", schema.get(side.lower(), default))
        for side, default in (("Minimum", 0), ("Maximum", 1e300))
    )
    return st.floats(low, high, exclude_min="exclusiveMinimum" in schema, exclude_max="exclusiveMaximum" in schema)


def section(model: type[Section], above: str = "") -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            name: section(SECTIONS[above + name], f"{above}{name}.") if above + name in SECTIONS else values(schema)
            for name, schema in model.model_json_schema()["properties"].items()
        }
    )


TREES = section(Config)


def relax(tree: dict[str, Any]) -> None:
    """What game.signal=gumbel needs."""
    for name, value in relaxation.NEEDED.items():
        section, field = name.split(".")
        tree[section][field] = value
    for player in ("generator", "discriminator"):
        tree[player] |= {"architecture": "lstm", "pretrained": None}
    tree["game"] |= {"loss": "binary", "value": "minimax"}
    tree["adversarial"]["steps"] += 1
    tree["selfplay"]["iterations"] = tree["mediator"]["steps"] = 0
    tree["evaluation"]["controls"] = []


def leak(tree: dict[str, Any]) -> None:
    """What generator.architecture=leakgan needs."""
    tree["generator"] |= {"tied": False, "per_label": False, "latent": 0}
    tree["discriminator"] |= {"architecture": "seqgan", "pretrained": None, "hidden": tree["generator"]["hidden"]}
    tree["discriminator"]["from_generator"] = False
    tree["game"] |= {"signal": "rollout", "loss": "binary", "kl": 0.0}
    tree["adversarial"] |= {"steps": tree["adversarial"]["steps"] + 1, "reward": "discriminator"}
    tree["selfplay"]["iterations"] = tree["mediator"]["steps"] = 0


def expand(tree: dict[str, Any]) -> None:
    """What game.signal=taylor needs."""
    for name, value in taylor.NEEDED.items():
        section, field = name.split(".")
        tree[section][field] = value
    tree["game"]["baseline"] = "none"
    for player in ("generator", "discriminator"):
        tree[player] |= {"architecture": "lstm", "pretrained": None}


def rank(tree: dict[str, Any]) -> None:
    """What game.loss=rank needs."""
    tree["discriminator"] |= {"architecture": "cnn", "pretrained": None}
    tree["game"]["penalty"] = "none"
    tree["adversarial"]["micro_batches"] = 1
    tree["adversarial"]["prompts_per_step"] += 1


def values_agree(tree: dict[str, Any]) -> None:
    game, judge, loop = tree["game"], tree["discriminator"], tree["adversarial"]
    architecture = judge["architecture"]
    judge["spectral_norm"] &= architecture in NORMALISED
    judge["embedding_noise"] *= judge["pretrained"] is None and game["signal"] != "gumbel"
    bounded = judge["spectral_norm"] or architecture in SMOOTHED
    if not loop["steps"] or (game["loss"] == "wasserstein" and not bounded):
        game["loss"] = "binary"
    if game["signal"] in EVERY_PREFIX and game["loss"] in (*PAIRS, *WITHOUT_LEVEL):
        game["loss"] = "binary"
    if game["baseline"] == "maligan":
        game |= {"signal": "sequence", "discount": 1.0, "kl": 0.0, "length_penalty": 0.0, "reward_scale": "none"}
        game |= {"loss": "binary", "value": "reverse_kl"}
    if game["loss"] == "wasserstein" and not judge["spectral_norm"]:
        game["penalty"] = "gradient"
    if game["loss"] == "relativistic_average":
        loop["micro_batches"] = 1
    if game["value"] not in PAYS[game["loss"]] or game["value"] == "feature_matching":
        game["value"] = PAYS[game["loss"]][0]
    if game["loss"] != "binary" or game["signal"] == "gumbel":
        game["label_smoothing"] = 0.0
    if game["loss"] in PAIRS or architecture not in SMOOTHED or game["signal"] == "gumbel":
        game["penalty"] = "none"


def weigh(tree: dict[str, Any]) -> None:
    """What game.signal=near_data and adversarial.reward=closed_form need."""
    near = tree["game"]["signal"] == "near_data"
    for name, value in (likelihood.NEAR_DATA if near else likelihood.CLOSED_FORM | likelihood.UNREAD).items():
        section, field = name.split(".")
        tree[section][field] = value
    if near:
        tree["game"] |= {"loss": "binary", "value": "minimax"}
        tree["adversarial"]["steps"] += 1
        if tree["generator"]["architecture"] == "leakgan":
            tree["generator"]["architecture"] = "lstm"
    elif tree["prompt"]["source"] == "prefix":
        tree["prompt"]["source"] = "data"
    tree["selfplay"]["iterations"] = tree["mediator"]["steps"] = 0
    tree["evaluation"]["controls"] = []


def surprise(tree: dict[str, Any]) -> None:
    """What discriminator.architecture=language_model needs, if there is a game."""
    plain = tree["game"]["signal"] in ("dense", "prefix", "sequence", "rollout")
    plain &= tree["game"]["baseline"] != "maligan" and tree["adversarial"]["steps"] > 0
    plain &= tree["adversarial"]["reward"] != "closed_form"
    if plain:
        tree["game"] |= {"loss": "wasserstein", "value": "critic", "penalty": "none", "label_smoothing": 0.0}
    else:
        tree["discriminator"]["architecture"] = "lstm"


def labels_agree(tree: dict[str, Any]) -> None:
    generator, game = tree["generator"], tree["game"]
    given = tree["prompt"]["source"] == "label" and generator["pretrained"] is None
    plain = generator["architecture"] in ("lstm", "relational") and not generator.get("latent")
    generator["per_label"] &= given and plain
    generator["tied"] &= not generator["per_label"]
    tree["discriminator"]["from_generator"] &= not generator["per_label"]
    if tree["prompt"]["source"] == "label" and tree["discriminator"]["architecture"] in PRETRAINED_JUDGES:
        tree["discriminator"] |= {"architecture": "lstm", "pretrained": None, "ensemble": 1}
    if game["loss"] == "classes" and not (given and game["signal"] in ("sequence", "rollout")):
        game["loss"] = "binary"
    if game["loss"] == "classes":
        tree["discriminator"] |= {"architecture": "cnn", "pretrained": None, "ensemble": 1, "embedding_noise": 0.0}
        game["penalty"] = "none"
    tree["adversarial"]["offspring"] *= game["signal"] == "gumbel" and game["loss"] == "bradley_terry"


def noise_agrees(tree: dict[str, Any]) -> None:
    generator, others = tree["generator"], tree["selfplay"]["iterations"] or tree["mediator"]["steps"]
    if others or generator["pretrained"] or generator["per_label"] or generator["architecture"] not in FROM_NOISE:
        generator["latent"] = 0


def blanks_agree(tree: dict[str, Any]) -> None:
    pretrained = tree["generator"]["pretrained"] or tree["discriminator"]["pretrained"]
    if tree["prompt"]["source"] == "blanks" and (pretrained or tree["adversarial"]["reward"] == "closed_form"):
        tree["prompt"]["source"] = "data"


def judge_agrees(tree: dict[str, Any]) -> None:
    judge = tree["discriminator"]
    if judge["architecture"] in PRETRAINED_JUDGES:
        judge["pretrained"] = judge["pretrained"] or "a folder"
        if judge["architecture"] != "causal" and tree["game"]["signal"] in EVERY_PREFIX:
            tree["game"]["signal"] = "sequence"
    else:
        judge |= {"pretrained": None, "ensemble": 1}


def baseline_agrees(tree: dict[str, Any]) -> None:
    if tree["game"]["baseline"] in ("leave_one_out", "grpo"):
        tree["adversarial"]["samples_per_prompt"] += 1
    if tree["game"]["baseline"] == "grpo":
        tree["game"] |= {"signal": "sequence", "discount": 1.0}
    if tree["game"]["signal"] == "rollout":
        tree["game"]["discount"] = 1.0


def contest_agrees(tree: dict[str, Any]) -> None:
    tree["selfplay"]["iterations"] = min(tree["selfplay"]["iterations"], tree["adversarial"]["steps"])
    if tree["selfplay"]["iterations"] or tree["memory"]["offload"]:
        tree["mediator"]["steps"] = 0
    paid = tree["adversarial"]["reward"] == "bleu"
    if tree["selfplay"]["iterations"] or tree["mediator"]["steps"] or paid or not tree["adversarial"]["steps"]:
        tree["evaluation"]["controls"] = []
    if paid:
        tree["adversarial"]["discriminator_steps"], tree["game"]["signal"] = 0, "sequence"
    played = tree["adversarial"]["steps"] > 0 and not (tree["selfplay"]["iterations"] or tree["mediator"]["steps"])
    played &= tree["adversarial"]["reward"] not in ("bleu", "closed_form") and tree["game"]["baseline"] != "maligan"
    tree["game"]["bleu"] *= played and tree["game"]["signal"] in REWARDS


def players_agree(tree: dict[str, Any]) -> None:
    for player in ("generator", "discriminator"):
        if tree[player]["pretrained"] is None or tree[player]["architecture"] == "features":
            tree[player]["lora"]["rank"] = 0
    if tree["generator"]["architecture"] == "encoder_decoder":
        tree["generator"]["tied"] = True


@st.composite
def configs(draw: st.DrawFn) -> Config:
    tree: dict[str, Any] = draw(TREES)
    for player in ("generator", "discriminator"):
        tree[player]["hidden"] = tree[player]["heads"] * draw(st.integers(1, 9))
    if tree["generator"]["architecture"] == "leakgan" and tree["generator"]["pretrained"] is None:
        leak(tree)
    if tree["game"]["signal"] == "gumbel":
        relax(tree)
    elif tree["game"]["value"] == "feature_matching":
        tree["game"]["value"] = "reverse_kl"
    if tree["game"]["signal"] == "taylor":
        expand(tree)
    if tree["game"]["loss"] == "rank":
        rank(tree)
    judge_agrees(tree)
    baseline_agrees(tree)
    judge = tree["discriminator"]
    if tree["game"]["signal"] == "near_data" or tree["adversarial"]["reward"] == "closed_form":
        weigh(tree)
    labels_agree(tree)
    if judge["architecture"] == "language_model":
        surprise(tree)
    if judge["architecture"] != "language_model":
        values_agree(tree)
    judge["embedding_noise"] *= judge["pretrained"] is None
    judge["spectral_norm"] &= judge["architecture"] in NORMALISED
    if tree["game"]["policy"] in ("gradient", "probability"):
        tree["adversarial"]["epochs"] = 1
    if tree["game"]["policy"] == "importance":
        tree["game"]["kl_estimator"] = "k1"
    if tree["adversarial"]["order"] == "interleaved":
        tree["adversarial"] |= {"generator_steps": 1, "discriminator_steps": draw(st.integers(0, 1))}
    contest_agrees(tree)
    players_agree(tree)
    formula = tree["adversarial"]["reward"] == "closed_form" and tree["adversarial"]["steps"] > 0
    tree["warmup"]["steps"] = 0 if formula else tree["warmup"]["steps"] + 1
    if tree["generator"]["pretrained"] is not None:
        tree["tokenizer"]["kind"] = draw(st.sampled_from(["auto", "pretrained"]))
    else:
        tree["tokenizer"]["kind"] = tree["tokenizer"]["kind"].replace("ids", "auto").replace("pretrained", "auto")
        tree["prompt"]["template"] = tree["prompt"]["template"].replace("chat", "auto")
    tree["data"]["test"] = min(tree["data"]["test"], 0.4)
    tree["push_to_hub"] = draw(st.sampled_from([None, "me/model"]))
    noise_agrees(tree)
    blanks_agree(tree)
    if tree["prompt"]["source"] != "data":
        tree["evaluation"]["task"] = "verse"
    if not tree["adversarial"]["steps"]:
        tree["evaluation"]["task"] = "none"
    return Config.model_validate(tree)


def reload(text: str) -> Config:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(text.encode())
        return load_config(path)


@whole_trees
@given(configs())
def test_a_dumped_tree_loads_back_equal(config: Config) -> None:
    assert reload(dump(config)) == config


@whole_trees
@given(configs())
def test_a_described_tree_loads_back_equal(config: Config) -> None:
    assert reload(describe(config)) == config


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_recipe_file_gives_a_config_or_a_user_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_bytes(content)
        try:
            assert isinstance(load_config(path), Config)
        except UserError as error:
            assert str(path) in str(error)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*FIELDS, *SECTIONS, "no.field"]), st.text(max_size=30))
def test_any_override_gives_a_config_or_a_user_error(name: str, value: str) -> None:
    try:
        assert isinstance(load_config(overrides=[f"{name}={value}"]), Config)
    except UserError as error:
        assert name.partition(".")[0] in str(error)


def test_the_default_recipe_is_the_tree_of_defaults() -> None:
    assert load_config() == Config()


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_load_name_themselves_and_say_what_they_are(name: str) -> None:
    assert load_config(name).recipe == name
    summary = recipe_header(name)[0]
    assert summary.endswith(".") and len(summary) > 20


def test_the_three_recipes_are_there() -> None:
    assert {"mgan", "mle", "reinforce"} <= set(recipe_names())
    assert recipe_path("mle").is_file()


def test_maximum_likelihood_has_no_game_even_when_smoked() -> None:
    for smoke in (False, True):
        config = load_config("mle", smoke=smoke)
        assert (config.warmup.steps, config.adversarial.steps) == (0, 0)


def test_layers_override_one_another_recipe_then_smoke_then_overrides_then_fields(tmp_path: Path) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text("adversarial: {steps: 50, generator_rate: 3e-5}\nequilibrium:\nwarmup.steps: 40\n")
    assert load_config(recipe).adversarial.steps == 50
    assert load_config(recipe).adversarial.generator_rate == 3e-5
    assert load_config(recipe).warmup.steps == 40
    assert load_config(str(recipe), smoke=True).adversarial.steps == 3
    overrides = ["adversarial.steps=7", "adversarial.steps=8"]
    assert load_config(recipe, overrides, smoke=True).adversarial.steps == 8
    assert load_config(recipe, overrides, smoke=True, adversarial={"steps": 9}).adversarial.steps == 9
    assert load_config(recipe, adversarial=Adversarial(steps=4)).adversarial.steps == 4
    assert load_config(recipe).recipe == "own"


def test_smoke_is_small_and_never_larger_than_the_recipe() -> None:
    config = load_config(smoke=True)
    assert config.generator.hidden <= 32 and config.generator.context <= 32
    assert config.pretrain.max_steps == 6 and config.data.max_texts == 200
    assert load_config(overrides=[], smoke=True, seed=5).seed == 5
    assert config.evaluation.temperatures == (0.9, 1.0)


@pytest.mark.parametrize("recipe", ["translation", "answering", "dialogue"])
def test_smoke_leaves_a_task_with_prompts_the_room_of_its_recipe(recipe: str) -> None:
    smoked = load_config(recipe, smoke=True)
    assert smoked.generator.context == load_config(recipe).generator.context >= 128 and smoked.pretrain.max_steps == 6


@whole_trees
@given(configs())
def test_any_valid_recipe_can_be_smoked(config: Config) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(dump(config).encode())
        smoked = load_config(path, smoke=True)
    assert smoked.adversarial.steps <= 3 and smoked.rows_per_step <= 4 * config.adversarial.samples_per_prompt


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("seed=3", "seed", 3),
        ("pretrain.learning_rate=3e-4", "pretrain.learning_rate", 3e-4),
        ("data.max_texts=null", "data.max_texts", None),
        ("data.lowercase=true", "data.lowercase", True),
        ("evaluation.temperatures=[1, 0.5]", "evaluation.temperatures", (1.0, 0.5)),
        ("evaluation.controls=[constant, frozen]", "evaluation.controls", ("constant", "frozen")),
        ("evaluation.controls=[]", "evaluation.controls", ()),
        ("adversarial.discriminator_steps=0", "adversarial.discriminator_steps", 0),
        ("data.path=2024", "data.path", "2024"),
        ("data.path=[a: b", "data.path", "[a: b"),
        ("data.text_field=x=y", "data.text_field", "x=y"),
        ("game={kl: 0.5}", "game.kl", 0.5),
        ("data.oracle.length=7", "data.oracle.length", 7),
        ("data={oracle: {weights: a.npz}}", "data.oracle.weights", "a.npz"),
    ],
)
def test_override_values(override: str, name: str, value: object) -> None:
    got: Any = load_config(overrides=[override])
    for part in name.split("."):
        got = getattr(got, part)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("game.k1=0.1", "there is no field 'game.k1': did you mean game.kl?"),
        ("genrator.hidden=3", "there is no field 'genrator.hidden': did you mean generator.hidden?"),
        ("hidden=3", "did you mean generator.hidden or discriminator.hidden?"),
        ("sed=3", "did you mean seed?"),
        ("seed.deep=3", "there is no field 'seed.deep': did you mean seed?"),
        ("generator=3", "generator is a section: expected its fields, like generator.architecture, got 3"),
        ("generator.hidden=big", 'generator.hidden: expected a whole number of at least 1, got "big"'),
        ("generator.hidden=0", "generator.hidden: expected a whole number of at least 1, got 0"),
        ("generator.hidden=2.5", "generator.hidden: expected a whole number of at least 1, got 2.5"),
        ("seed=true", "seed: expected a whole number of at least 0 and at most 9007199254740992, got true"),
        ("seed=", "seed: expected a whole number of at least 0 and at most 9007199254740992, got null"),
        ("seed=010", 'seed: expected a whole number of at least 0 and at most 9007199254740992, got "010"'),
        ("data.validation=0.7", "data.validation: expected a number above 0 and below 0.5, got 0.7"),
        ("data.lowercase=yes", 'data.lowercase: expected true or false, got "yes"'),
        ("data.max_texts=none", 'expected null or a whole number of at least 1, got "none"'),
        ("data.path=", 'data.path: expected text of length at least 1, got ""'),
        ("data.path=\udcff", "data.path: expected valid Unicode text"),
        ("game.discount=2", "game.discount: expected a number of at least 0 and at most 1, got 2"),
        ("game.value=wgan", "expected one of minimax, nonsaturating, reverse_kl, kl, js, "),
        ("game.kl=.nan", "game.kl: expected a number of at least 0"),
        (
            "evaluation.temperatures=[1, 0]",
            "evaluation.temperatures (item 2): expected a list",
        ),
        (
            "evaluation.controls=[random, random]",
            "evaluation.controls: expected a list without repetitions, each one of constant, random, frozen, "
            'got ["random", "random"]',
        ),
        ("evaluation.controls=random", 'each one of constant, random, frozen, got "random"'),
        ("evaluation.controls=[none]", "evaluation.controls (item 1): expected a list"),
        ("evaluation.control=constant", "did you mean evaluation.controls?"),
        ("evaluation.temperatures=1", "expected a list of one or more, each a number above 0, got 1"),
        ("data.oracle.length=6", "data.oracle.length: expected a whole number of at least 7, got 6"),
        ("data.oracle.lenght=6", "there is no field 'data.oracle.lenght': did you mean data.oracle.length?"),
        ("data.oracle=6", "data.oracle is a section: expected its fields, like data.oracle.architecture, got 6"),
        (
            "data.path=oracle",
            "generator.context (128) must be data.oracle.length + 1 (21) with data.path=oracle",
        ),
        ("tokenizer.kind=ids", "tokenizer.kind=ids reads the texts of an oracle: it needs data.path=oracle"),
        ("game={signal: rollout, discount: 0.9}", "game.signal=rollout pays each token what whole texts earn"),
        ("game.baseline=leave_one_out", "needs adversarial.samples_per_prompt of 2 or more"),
        ("game={baseline: grpo, signal: sequence}", "game.baseline=grpo needs adversarial.samples_per_prompt of 2"),
        ("game={loss: bradley_terry}", "it needs game.signal=sequence, game.signal=rollout or"),
        ("game={loss: contrastive, signal: sequence, value: minimax}", "pays for: use game.value=reverse_kl"),
        ("game={loss: hinge}", "another meaning than game.value=reverse_kl pays for: use game.value=critic"),
        ("game={loss: wasserstein, value: critic}", "it needs game.signal=sequence, game.signal=rollout or"),
        ("game={loss: wasserstein, value: critic, signal: sequence}", "needs a bound on the slope of D"),
        ("game={loss: hinge, value: critic, label_smoothing: 0.1}", "game.label_smoothing needs game.loss=binary"),
        ("game={penalty: r1, signal: sequence, loss: contrastive}", "texts that are judged apart"),
        ("game={baseline: maligan}", "game.baseline=maligan gives every token the advantage of its whole text"),
        ("game={baseline: maligan, signal: sequence}", "game.baseline=maligan weighs texts by e^d"),
        ("discriminator.spectral_norm=true", "discriminator.architecture=cnn or seqgan or relgan, not lstm"),
        ("adversarial.epochs=2", "it needs game.policy=ppo"),
        (
            "adversarial={order: interleaved, discriminator_steps: 2}",
            "it needs adversarial.generator_steps=1 and adversarial.discriminator_steps=1",
        ),
        ("seed", "'seed' is not an override: expected section.field=value"),
        ("=3", "'=3' is not an override"),
        ("seed=[1", "the value of seed line 1: not valid YAML"),
        ("game={kl: 1, kl: 2}", "'kl' is given twice"),
        ("seed=" + "[" * 1500, "the value of seed: not valid YAML"),
        ("seed=" + "9" * 5000, "the value of seed: not valid YAML"),
    ],
)
def test_a_bad_override_is_one_sentence(override: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        load_config(overrides=[override])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


ORACLE = ["data.path=oracle", "generator.context=21"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tokenizer.kind=word"], "data.path=oracle needs tokenizer.kind=ids (auto is that), not word"),
        (["data.test_path=a.txt"], "data.test_path must be null"),
        (["data.oracle.weights=a.npz", "data.oracle.layers=2"], "an LSTM of one layer"),
        (["data.oracle.weights=a.npz", "data.oracle.architecture=gru"], "an LSTM of one layer"),
    ],
)
def test_what_an_oracle_needs_is_one_sentence(overrides: list[str], message: str) -> None:
    assert load_config(overrides=ORACLE).data.oracle.texts == 10_000
    with pytest.raises(UserError) as raised:
        load_config(overrides=[*ORACLE, *overrides])
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("length", [7, 20, 40])
def test_an_oracle_of_any_length_can_be_smoked(length: int, tmp_path: Path) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text(f"data: {{path: oracle, oracle: {{length: {length}}}}}\ngenerator.context: {length + 1}\n")
    config = load_config(recipe, smoke=True)
    assert config.generator.context == config.data.oracle.length + 1 and config.data.oracle.texts == 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: 1\ngame:\n  kl: [1\nwarmup: {}\n", "line 4: not valid YAML"),
        (b"seed: 1\n\nseed: 2\n", "line 3: not valid YAML: 'seed' is given twice"),
        (b"game:\n  kl: 1\n  kl: 2\n", "line 3: not valid YAML: 'kl' is given twice"),
        (b"a: &a 1\nb: *a\n", "line 2: not valid YAML: aliases are not supported"),
        (b"seed: !!python/name:os.system\n", "line 1: not valid YAML: could not determine a constructor"),
        (b"seed: 1\n1: 2\n", "line 2: not valid YAML: a name must be text"),
        (b"seed: 1\n\x00", "line 2: not valid YAML: special characters are not allowed"),
        (b"seed: 1\nrecipe: \xff\n", "line 2: not UTF-8 text"),
        (b"- seed\n", "expected sections with fields"),
        (b"game:\n  kll: 1\n", "there is no field 'game.kll': did you mean game.kl?"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_it(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        load_config(path)
    assert str(path) in str(raised.value) and message in str(raised.value)


def test_an_unknown_recipe_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no recipe 'mgna': did you mean 'mgan'\?.*reinforce"):
        load_config("mgna")
    with pytest.raises(UserError, match=r"cannot read the recipe .*none.yaml: No such file"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="cannot read the recipe"):
        load_config(tmp_path)


def test_an_empty_file_is_the_defaults_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_config(tmp_path / "empty.yaml") == Config(recipe="empty")


def test_describe_says_every_field_once_with_its_meaning() -> None:
    text = describe(Config())
    for name, field in FIELDS.items():
        assert text.count(f"# {field.description}") >= 1, name
    assert len(yaml.safe_load(text)) == sum("." not in name for name in FIELDS) + len(SECTIONS)
    assert "one of lstm, relational, transformer" in text and "a number above 0 and below 0.5" in text


def test_text_that_looks_like_something_else_stays_text() -> None:
    for text in ["1e3", "010", "3e-3", "null", "true", "~", "", "1:30", "=", "<<", "2024-01-01", "a: b", "#"]:
        assert plain_yaml.read(plain_yaml.write({"x": text}), "it") == {"x": text}


def test_the_batch_sentence_counts() -> None:
    assert batch_sentence(Config()) == (
        "128 prompts a step x 1 sample each = 128 texts a generator update; "
        "2 discriminator updates and 1 generator update a round"
    )
    config = load_config(overrides=["adversarial.prompts_per_step=1", "adversarial.samples_per_prompt=6"])
    assert batch_sentence(config).startswith("1 prompt a step x 6 samples each = 6 texts a generator update;")


def test_checking_a_configuration_imports_nothing_heavy() -> None:
    code = (
        "import sys, time, mgan.settings\n"
        "print(time.process_time(), *(m for m in ('torch', 'rich', 'typer') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *heavy = done.stdout.split()
    assert heavy == [] and float(seconds) < 0.8
