"""The configuration: one typed tree, every field with its unit and range, validated before anything is loaded.

A recipe (``mgan/recipes/*.yaml``) is a partial tree; ``section.field=value`` overrides come on top.
"""

from __future__ import annotations

from mgan.sections.base import Coefficient as Coefficient
from mgan.sections.base import Count as Count
from mgan.sections.base import Fraction as Fraction
from mgan.sections.base import Positive as Positive
from mgan.sections.base import Rate as Rate
from mgan.sections.base import Section as Section
from mgan.sections.evaluation import Checkpoint as Checkpoint
from mgan.sections.evaluation import Evaluation as Evaluation
from mgan.sections.game import Adversarial as Adversarial
from mgan.sections.game import Collapse as Collapse
from mgan.sections.game import Control as Control
from mgan.sections.game import Equilibrium as Equilibrium
from mgan.sections.game import Game as Game
from mgan.sections.game import Mediator as Mediator
from mgan.sections.game import Pretrain as Pretrain
from mgan.sections.game import SelfPlay as SelfPlay
from mgan.sections.game import Warmup as Warmup
from mgan.sections.players import OWN as OWN
from mgan.sections.players import PRETRAINED_JUDGES as PRETRAINED_JUDGES
from mgan.sections.players import Discriminator as Discriminator
from mgan.sections.players import Generator as Generator
from mgan.sections.players import Lora as Lora
from mgan.sections.players import Memory as Memory
from mgan.sections.text import ORACLE as ORACLE
from mgan.sections.text import Data as Data
from mgan.sections.text import Oracle as Oracle
from mgan.sections.text import Prompt as Prompt
from mgan.sections.text import Tokenizer as Tokenizer
