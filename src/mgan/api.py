"""The Python entry: what the command line does, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgan.config import ORACLE, OWN, Config
from mgan.listing import Summary, list_runs
from mgan.locate import find_run, new_run
from mgan.settings import load_config

if TYPE_CHECKING:
    from mgan.planning.estimate import MemoryPlan
    from mgan.sampling.pair import Pair
    from mgan.training.run import Run
    from mgan.types import Progress


def train(
    data: str | Path | None = None,
    recipe: str | Path = "mgan",
    run: str | Path | None = None,
    overrides: Iterable[str] = (),
    *,
    smoke: bool = False,
    progress: Progress | None = None,
    **fields: Any,
) -> Run:
    """Pre-train, warm up, play the game and give the verdict; all of it lands in the run's folder.

    data: file, folder, embedded corpus or Hugging Face dataset name; None: as the recipe says.
    recipe: a shipped recipe's name or the path of a .yaml file.
    run: a name under ``runs`` or the path of a new folder; None: ``runs/<recipe>-<date>-<time>``.
    overrides: ``section.field=value`` each.
    smoke: shrink everything so that a whole run takes seconds.
    progress: who is told how it goes; None: nobody.
    fields: the configuration's tree, like ``seed=3`` or ``game={"kl": 0.1}``.

    Raises UserError before anything is computed if the configuration, the data or the folder is wrong.
    """
    config = configure(data, recipe, overrides, smoke=smoke, **fields)
    folder = new_run(config.recipe, run)
    from mgan import training

    return training.train(config, run=folder, progress=progress)


def configure(
    data: str | Path | None = None,
    recipe: str | Path = "mgan",
    overrides: Iterable[str] = (),
    *,
    smoke: bool = False,
    **fields: Any,
) -> Config:
    """The configuration ``train`` uses; local paths in it are absolute, so that a run resumes anywhere."""
    if data is not None:
        overrides = [*overrides, f"data.path={data}"]
    config = load_config(recipe, overrides, smoke=smoke, **fields)
    config.discriminator_source()
    weights = config.data.oracle.weights
    oracle = config.data.oracle.model_copy(update={"weights": weights and _absolute(weights)})
    test = config.data.test_path
    update = {"path": _absolute(config.data.path), "test_path": test and _absolute(test), "oracle": oracle}
    players: dict[str, Any] = {
        name: player.model_copy(update={"pretrained": player.pretrained and _absolute(player.pretrained)})
        for name, player in (("generator", config.generator), ("discriminator", config.discriminator))
        if (name, player.pretrained) != ("discriminator", OWN)
    }
    return config.model_copy(update={"data": config.data.model_copy(update=update), **players})


def _absolute(path: str) -> str:
    from mgan.data.readers import EMBEDDED

    local, known = Path(path).expanduser(), (*EMBEDDED, ORACLE)
    return str(local.absolute()) if path not in known and local.exists() else path


def plan(
    data: str | Path | None = None,
    recipe: str | Path = "mgan",
    overrides: Iterable[str] = (),
    *,
    smoke: bool = False,
    memory: float | None = None,
    **fields: Any,
) -> MemoryPlan:
    """What memory ``train`` of the same arguments would take, phase by phase; nothing is loaded or trained.

    memory: GiB of the device; None: this machine's. Of pretrained models only config.json is opened.
    """
    from mgan.planning.estimate import estimate

    return estimate(configure(data, recipe, overrides, smoke=smoke, **fields), memory)


def resume(run: str | Path, *, progress: Progress | None = None) -> Run:
    """Go on with a run, named or by path, where it was stopped; a finished one is returned as it is."""
    folder = find_run(run)
    from mgan import training

    return training.resume(folder, progress=progress)


def load(run: str | Path) -> Pair:
    """The generator and discriminator of a run, named or by path, to generate and to score with."""
    folder = find_run(run)
    from mgan import threads
    from mgan.sampling import pair

    threads.use()
    return pair.load(folder)


def evaluate(
    run: str | Path,
    *,
    temperatures: Sequence[float] | None = None,
    top_k: Sequence[int] | None = None,
    top_p: Sequence[float] | None = None,
    samples: int | None = None,
    embedder: str | None = None,
    trained: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Every system of a run along its decoding settings, on held-out text; what evaluation.json then holds.

    temperatures, top_k, top_p: the settings, None for the usual ones. samples: texts a setting, at most. embedder:
    ``characters``, ``minilm``, a folder, or ``none``. trained: also fit fresh discriminators and language models.
    """
    folder = find_run(run)
    from mgan.evaluation.sweep import Sweep
    from mgan.training import evaluate as measure

    lists = {"temperatures": temperatures, "top_k": top_k, "top_p": top_p}
    given: dict[str, Any] = {name: tuple(values) for name, values in lists.items() if values is not None}
    given |= {name: value for name, value in (("samples", samples), ("embedder", embedder)) if value is not None}
    return measure(folder, Sweep(**given, trained=trained), progress=progress)


def compare(
    runs: Sequence[str | Path], *, plots: str | Path | None = None, published: str | None = None
) -> dict[str, Any]:
    """Whether adversarial training helped, and who dominates where; see ``mgan compare``."""
    folders = [find_run(run) for run in runs]
    from mgan import training

    return training.compare(folders, None if plots is None else Path(plots), published)


def runs(folder: str | Path | None = None) -> list[Summary]:
    """The runs in a folder (default: ./runs): name, path, recipe, whether finished, phase, step, verdict."""
    return list_runs(folder)


def push(run: str | Path, name: str, *, private: bool = False) -> str:
    """Upload a finished run's players to the Hugging Face hub, ``owner/name``; the repository's address.

    private: for a repository that is made. Raises UserError if the run is not finished or the hub refuses.
    """
    folder = find_run(run)
    from mgan.training.publish import push as upload

    return upload(folder, name, private)


def report(run: str | Path) -> Path:
    """Render a run's report.html again; its path."""
    folder = find_run(run)
    from mgan import training

    return training.report(folder)
