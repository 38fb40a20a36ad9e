"""From a configuration to a world: text read and split, tokenizer trained or restored, networks built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mgan import config as configs
from mgan import threads
from mgan.data import cache, corpus, rows, tokenizers
from mgan.data.corpus import Corpus
from mgan.data.rows import Rows
from mgan.data.tokenizers import Tokenizer
from mgan.evaluation.tasks import translation
from mgan.files import write_text
from mgan.fit import optimizers
from mgan.fit.hardware import Hardware
from mgan.models.protocols import Opaque
from mgan.sections import tasks, values
from mgan.training import synthetic
from mgan.training.events import summary_writer
from mgan.training.run import Run
from mgan.training.world import Alphabet, World
from mgan.types import Progress, UserError


@dataclass(frozen=True)
class Setup:
    world: World
    corpus: Corpus
    tokenizer: Tokenizer


def set_up(run: Run, progress: Progress, tokenizer: Tokenizer | None = None) -> Setup:
    """tokenizer: the run's own; None: one is trained and written to the run's generator folder."""
    config = run.config
    if config.tensorboard:
        summary_writer()
    threads.use(config.threads)
    hardware = Hardware(config.device, config.precision, config.memory)
    optimizers.must_be_had(hardware)
    if config.evaluation.task == "translation":
        translation.must_be_had()
    oracle = config.data.path == configs.ORACLE
    labelled = config.prompt.source == "label"
    text = synthetic.corpus(config.data.oracle) if oracle else corpus.build(config.data, labelled=labelled)
    progress.say(text.description)
    if tokenizer is None:
        tokenizer = _tokenizer(text, config)
        run.generator.mkdir(exist_ok=True)
        tokenizer.save(run.generator)
    _must_suit(text, tokenizer, config)
    if config.prompt.source == "data" and _run_together(text):
        progress.say(
            "the prompts end with a letter or a digit, so a text goes on in the middle of its prompt's line; to part "
            r"""them, as a title from its text, type 'data.prompt_ending="\n"'"""
        )
    progress.say(f"tokenizer: {tokenizer.kind}, {tokenizer.vocabulary_size} tokens ({tokenizer.reason})")
    if config.generator.pretrained and not tokenizer.chat and config.prompt.template == "auto" and messages(text):
        progress.say(
            f"the data are messages and {config.generator.pretrained} has no chat template, so each message is a line; "
            "take a model that was trained on chats, or set prompt.template=plain if lines are meant"
        )
    splits = _encode(text, tokenizer, config, progress)
    if config.generator.pretrained is not None:
        progress.say(f"generator: opening {config.generator.pretrained}")
    alphabet = Alphabet(tokenizer.vocabulary_size, tokenizer.eos, tokenizer.pad, tokenizer)
    world = World.create(config, hardware, alphabet, splits)
    if isinstance(world.generator, Opaque):
        _say_how_it_writes(world.generator, config, progress)
    return Setup(world, text, tokenizer)


def _must_suit(text: Corpus, tokenizer: Tokenizer, config: configs.Config) -> None:
    """UserError where the configuration asks of the texts what they do not have."""
    if tokenizer.sources and not tokenizer.blanks and not prompted(text):
        raise UserError(
            f"data.path={config.data.path}: the texts have no prompts, and a generator with an encoder writes after a "
            "source: give records with a prompt and a completion, or take a generator without an encoder"
        )
    if config.discriminator.architecture == values.BOUNDED and prompted(text) and not text.labels:
        raise UserError(
            f"discriminator.architecture={values.BOUNDED} judges by the mean over all words, the prompt's among them, "
            f"and the texts of {config.data.path} have prompts: take another discriminator, or texts that stand alone"
        )
    if config.generator.per_label and (unread := set(text.labels) - {example.prompt for example in text.train}):
        raise UserError(
            f"data.path={config.data.path}: no training text has the label {' or '.join(sorted(unread))}, whose own "
            "network would learn nothing: give more texts of it, or set generator.per_label=false"
        )
    if config.evaluation.task in tasks.PROMPTED and not prompted(text):
        raise UserError(
            f"evaluation.task={config.evaluation.task} measures answers to prompts, and the texts of "
            f"{config.data.path} have none: give records with a prompt and a completion, or messages"
        )
    if config.game.bleu and not _own_texts(text, config):
        raise UserError(
            f"game.bleu pays likeness with the real text of the same prompt, and the texts of {config.data.path} have "
            "none of their own: set game.bleu=0, or give records with a prompt and a completion"
        )


def _encode(text: Corpus, tokenizer: Tokenizer, config: configs.Config, progress: Progress) -> tuple[Rows, Rows, Rows]:
    """Training, validation and test rows; says what the context has no room for."""
    context, root = config.generator.context, cache.root()
    splits = (
        rows.encode(text.train, tokenizer, context, root),
        rows.encode(text.validation, tokenizer, context, root),
        rows.encode(text.test, tokenizer, context, root),
    )
    windowed = sum(split.windowed for split in splits)
    if windowed:
        progress.say(
            f"{windowed} texts are longer than generator.context={context} tokens and were cut into windows, "
            "or lost a part of their prompt; a larger generator.context keeps them whole"
        )
    asks = config.evaluation.task != "none" and not alone(text, tokenizer)
    if asks and not any(rows.whole(text.test, tokenizer, context)):
        progress.say(
            f"evaluation.task={config.evaluation.task} will not be measured: no held-out prompt fits "
            f"generator.context={context} with its real text; a larger generator.context has room for them"
        )
    return splits


def _say_how_it_writes(generator: Opaque, config: configs.Config, progress: Progress) -> None:
    """Raises UserError if the game needs more of it than logits."""
    if config.game.baseline == "critic" and config.adversarial.steps:
        raise UserError(
            f"game.baseline=critic reads the generator's features, but {generator.difference}, so mgan has none: use "
            "game.baseline=leave_one_out, per_position, grpo or reinforce++"
        )
    progress.say(
        f"generator: {generator.difference}, so its own generate writes the texts: the same distribution as with "
        "mgan's decode loop, in more time"
    )


def _tokenizer(text: Corpus, config: configs.Config) -> Tokenizer:
    if config.data.path == configs.ORACLE:
        return tokenizers.ids(config.data.oracle.vocabulary)
    if config.generator.pretrained is not None:
        return tokenizers.pretrained(config.generator.pretrained, config.prompt.template, prompted(text))
    # One text after the other, as they are encoded: a word's form depends on what stands before it.
    given = (example if not text.labels else replace(example, prompt="") for example in text.train)
    parts = (part for example in given for part in (example.prompt, example.text) if part)
    sources = config.generator.architecture == "encoder_decoder"
    blanks = config.prompt.blanks if config.prompt.source == "blanks" else 0.0
    return tokenizers.train(parts, config.tokenizer, sources, text.labels, blanks)


def messages(text: Corpus) -> bool:
    """Whether the prompts are messages, judged by the first of them."""
    return any(text.train[i].chat for i in range(min(100, len(text.train))))


def prompt_ending(text: Corpus) -> str:
    """The white space that the prompts end with, judged by the first of them; "" where they differ."""
    prompts = (text.train[i].prompt for i in range(min(100, len(text.train))))
    endings = {prompt[len(prompt.rstrip()) :] for prompt in prompts}
    return endings.pop() if len(endings) == 1 else ""


def _run_together(text: Corpus) -> bool:
    """Whether nothing parts the prompts from what follows them, judged by the first of them."""
    first = [text.train[i] for i in range(min(100, len(text.train)))]
    return all(example.prompt[-1:].isalnum() and example.text[:1].isalnum() for example in first)


def prompted(text: Corpus) -> bool:
    """Whether the texts come with prompts, judged by the first of them."""
    return any(text.train[i].prompt for i in range(min(100, len(text.train))))


def alone(text: Corpus, tokenizer: Tokenizer) -> bool:
    """Whether nothing but a label is given before a text, so that one longer than the context goes on in windows."""
    return bool(text.labels) or not (prompted(text) or tokenizer.blanks)


def _own_texts(text: Corpus, config: configs.Config) -> bool:
    """Whether a prompt of the game has a real text that belongs to it."""
    source = config.prompt.source
    return source in ("prefix", "blanks") or (source == "data" and prompted(text))


def restored_tokenizer(folder: Path, files: dict[str, str]) -> Tokenizer:
    """The tokenizer of a checkpoint, written back to the run's generator folder."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        write_text(folder / Path(name).name, content)
    return Tokenizer.load(folder)


def tokenizer_files(folder: Path) -> dict[str, str]:
    """What a checkpoint keeps of the tokenizer."""
    names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
    return {name: (folder / name).read_text(encoding="utf-8") for name in names if (folder / name).exists()}


def same_text(expected: str, found: str, path: str) -> None:
    if expected != found:
        raise UserError(f"data.path={path} has changed since the run began; restore it, or start a new run")
