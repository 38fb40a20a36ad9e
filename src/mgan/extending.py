"""Value functions of one's own: a function of D's logit that ``game.value`` can name, in this process.

A recipe is data and never brings code along, so a run that pays by such a function is begun and resumed from Python,
after the function was named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mgan.errors import UserError
from mgan.sections.game import VALUES
from mgan.sections.values import PAYS
from mgan.settings import forget_schemas

if TYPE_CHECKING:
    from torch import Tensor

BUILT_IN = frozenset(VALUES)


def value_function(
    name: str, loss: str = "binary"
) -> Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]:
    """A decorator: ``game.value=NAME`` pays G what the function says of D's logits.

    The function takes logits of any shape and returns payoffs of the same, elementwise and differentiable; higher is
    better for G. loss: the ``game.loss`` of D for which these logits have the meaning it relies on. Named again, as in
    a notebook, the newest counts. Raises UserError if mgan has a value of that name, or no such loss.
    """
    if name in BUILT_IN or not name.isidentifier():
        raise UserError(f"a value function's name must be a new one, of letters, digits and underscores, not {name!r}")
    if loss not in PAYS:
        raise UserError(f"loss must be one of {', '.join(PAYS)}, not {loss!r}")

    def register(payoff: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        from mgan.game.losses import PAYOFFS

        for other, names in PAYS.items():
            PAYS[other] = tuple(one for one in names if one != name) + ((name,) if other == loss else ())
        if name not in VALUES:
            VALUES.append(name)
        PAYOFFS[name] = payoff
        forget_schemas()
        return payoff

    return register
