"""Goals against their equations, written out position by position."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from mgan.game.advantages import ranked
from mgan.game.goals import intrinsic_rewards, manager_loss

LENGTHS, PROMPTS, HORIZON = (7, 4, 2), (1, 2, 1), 3


def texts() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rising features [3, 7, 5], goals, the worth of each prefix [3, 7] and the mask."""
    torch.manual_seed(0)
    features = torch.rand(3, 7, 5, dtype=torch.float64).cumsum(1)
    features[0, 3] = features[0, 2]
    place = torch.arange(7)
    mask = (place >= torch.tensor(PROMPTS)[:, None]) & (place < torch.tensor(LENGTHS)[:, None])
    return features, torch.randn(3, 7, 5, dtype=torch.float64), torch.rand(3, 7, dtype=torch.float64), mask


def test_the_managers_loss_is_the_worth_times_the_cosine_of_what_was_reached() -> None:
    features, goals, worth, mask = texts()
    expected = 0.0
    for row, (length, prompt) in enumerate(zip(LENGTHS, PROMPTS, strict=True)):
        for i in range(prompt - 1, length - 1):  # where a token was still to be chosen
            end = min(i + HORIZON, length - 1)
            cosine = cosine_similarity(features[row, end] - features[row, i], goals[row, i], dim=0)
            expected -= float(worth[row, end] * cosine)
    assert float(manager_loss(features, goals, worth, mask, HORIZON)) == pytest.approx(expected)


def test_what_stands_right_of_a_text_is_not_asked_about() -> None:
    features, goals, worth, mask = texts()
    before = manager_loss(features, goals, worth, mask, HORIZON)
    for some in (features, goals, worth):
        some[1, 4:] = 9.0
    assert torch.equal(manager_loss(features, goals, worth, mask, HORIZON), before)


def test_a_manager_comes_to_point_where_texts_go() -> None:
    features, goals, _, mask = texts()
    goals.requires_grad_()
    optimizer = torch.optim.Adam([goals], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss = manager_loss(features, goals, torch.ones_like(mask, dtype=torch.double), mask, 1)
        loss.backward()
        optimizer.step()
    moves = int(mask.sum()) - 1  # but for the one that leads nowhere
    assert float(loss.detach()) == pytest.approx(-moves, abs=1e-3)
    assert intrinsic_rewards(features, goals, mask, 1)[1, 2:4].tolist() == pytest.approx([1, 1], abs=1e-3)
    assert float(intrinsic_rewards(features, goals, mask, 1)[0, 3]) == 0.0


def test_the_worker_is_paid_the_mean_cosine_with_the_last_goals() -> None:
    features, goals, _, mask = texts()
    found = intrinsic_rewards(features, goals, mask, HORIZON)
    for row in range(3):
        for t in range(7):
            cosines = [
                cosine_similarity(features[row, t] - features[row, t - i], goals[row, t - i], dim=0)
                for i in range(1, HORIZON + 1)
                if t >= i
            ]
            expected = float(sum(cosines)) / HORIZON if mask[row, t] else 0.0
            assert float(found[row, t]) == pytest.approx(expected)


def test_ranks_by_hand_among_the_rows_that_get_so_far() -> None:
    # Completions begin at 1 and at 2, and are three, three, one and two tokens long.
    prompts = torch.tensor([1, 2, 1, 1])
    mask = torch.zeros(4, 6, dtype=torch.bool)
    returns = torch.full((4, 6), 99.0)
    for row, values in enumerate([[4.0, 1.0, 5.0], [3.0, 1.0, 5.0], [2.0], [1.0, 7.0]]):
        start = int(prompts[row])
        mask[row, start : start + len(values)] = True
        returns[row, start : start + len(values)] = torch.tensor(values)

    def worth(rank: float, rows: int) -> float:
        return float(torch.sigmoid(torch.tensor(16 * (0.5 - (rank + 0.5) / rows))))

    expected = torch.zeros(4, 6)
    expected[0, 1:4] = torch.tensor([worth(0, 4), worth(1.5, 3), worth(0.5, 2)])
    expected[1, 2:5] = torch.tensor([worth(1, 4), worth(1.5, 3), worth(0.5, 2)])
    expected[2, 1] = worth(2, 4)
    expected[3, 1:3] = torch.tensor([worth(3, 4), worth(0, 3)])
    assert torch.allclose(ranked(returns, mask, prompts), expected)


def test_only_the_order_counts_and_equal_returns_are_worth_a_half() -> None:
    torch.manual_seed(0)
    returns, mask, prompts = torch.randn(8, 5), torch.ones(8, 5, dtype=torch.bool), torch.zeros(8, dtype=torch.long)
    assert torch.equal(ranked(returns, mask, prompts), ranked(100 * returns.exp(), mask, prompts))
    assert (ranked(torch.ones(8, 5), mask, prompts) == 0.5).all()
