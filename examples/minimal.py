"""A text GAN in plain torch: mgan's loop, for reading. Run it: python examples/minimal.py

An LSTM that writes (the generator G, P_theta) plays against an LSTM that judges every prefix (the discriminator D):

    min_G max_D   E_real[log D(t)] + E_G[log(1 - D(g))]              D = sigmoid(d), d the log-odds of "real"

With D optimal d(x_<=i) = log p_data(x_<=i) - log P_theta(x_<=i). Paying G for its i-th token what that token added,
d_i - d_{i-1}, descends KL(G || data). Texts are rows of x [B, L]: BOS, words, then EOS to the end.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

# The language: the verb agrees with the first noun, not the nearest one: "the cats near the dog chase the bird".
NOUNS = ["cat", "dog", "bird", "fox", "cats", "dogs", "birds", "foxes"]
VERBS = {"s": ["chase", "see", "hear"], "": ["chases", "sees", "hears"]}
LANGUAGE = [
    f"the {noun} {near}{verb} the {other}"
    for noun in NOUNS for near in ["", *(f"near the {noun} " for noun in NOUNS)]
    for verb in VERBS["s" * noun.endswith("s")] for other in NOUNS
]  # fmt: skip
WORDS = ["<bos>", "<eos>", *sorted({word for text in LANGUAGE for word in text.split()})]
BOS, EOS, LENGTH, BATCH, KL = 0, 1, 10, 64, 0.05


class Player(nn.Module):
    """Embedding, LSTM, linear layer: with one output a word a generator, with one output a discriminator."""

    def __init__(self, outputs: int, words: int = len(WORDS), hidden: int = 64):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(words, hidden), nn.LSTM(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, state = self.lstm(self.embedding(x), state)
        return self.head(hidden), state


def mask(x: Tensor) -> Tensor:
    """1 on what a player chose and is judged by: everything after BOS up to the first EOS."""
    return pad(((x == EOS).cumsum(1) <= (x == EOS).long())[:, 1:], (1, 0)).float()


def logprobs(G: Player, x: Tensor) -> Tensor:
    """log P(x_i | x_<i) of every word, 0 off the text."""
    logits = G(x)[0][:, :-1].log_softmax(-1)
    return pad(logits.gather(-1, x[:, 1:, None]).squeeze(-1), (1, 0)) * mask(x)


def judge(D: Player, x: Tensor) -> Tensor:
    """d(x_<=i) of every prefix; 0 off the text, and so for BOS, with which real and generated texts begin alike."""
    return D(x)[0].squeeze(-1) * mask(x)


@torch.no_grad()
def sample(G: Player, uniforms: Tensor) -> Tensor:
    """x_i ~ P(. | x_<i): the word in whose slice of the cumulative distribution u_i, uniform in [0, 1), falls."""
    x, state = torch.full(uniforms.shape, EOS), None
    x[:, 0] = BOS
    for i in range(1, x.shape[1]):
        logits, state = G(x[:, i - 1 : i], state)
        cumulative = logits[:, -1].log_softmax(-1).exp().cumsum(-1)
        word = torch.searchsorted(cumulative, uniforms[:, i : i + 1] * cumulative[:, -1:], right=True)
        x[:, i] = torch.where(x[:, i - 1] == EOS, EOS, word.squeeze(1))
    return x


def descend(player: Player, optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(player.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def fit(G: Player, train: Tensor, steps: int) -> None:
    """Maximum likelihood: max_G E_real[sum_i log P(t_i | t_<i)], the learning rate decayed to zero."""
    optimizer = torch.optim.AdamW(G.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        real = train[torch.randint(len(train), (BATCH,))]
        descend(G, optimizer, -logprobs(G, real).sum() / mask(real).sum())
        schedule.step()


def discriminator_step(D: Player, optimizer: torch.optim.Optimizer, real: Tensor, fake: Tensor) -> float:
    """max_D E_real[log D] + E_G[log(1 - D)] on every prefix: log D = -softplus(-d), log(1 - D) = -softplus(d)."""
    loss = (softplus(-judge(D, real)) * mask(real)).sum() + (softplus(judge(D, fake)) * mask(fake)).sum()
    return descend(D, optimizer, loss / (mask(real).sum() + mask(fake).sum()) * 2)


def generator_step(G: Player, optimizer: torch.optim.Optimizer, D: Player, G0: Player, fake: Tensor) -> float:
    """max_G E_G[sum_i A_i log P(g_i | g_<i)]: the policy gradient (Williams 1992), held near the pre-trained G0."""
    m, logp, d = mask(fake), logprobs(G, fake), judge(D, fake)
    r = (d - pad(d, (1, -1))) * m - KL * (logp - logprobs(G0, fake))  # r_i = d_i - d_{i-1} - KL (log P - log P_0)
    R = r.flip(1).cumsum(1).flip(1) * m  #                              R_i = sum_{j >= i} r_j
    A = R - (R.sum(0) - R) / (m.sum(0) - 1).clamp(min=1)  #             A_i = R_i - mean R_i of the other rows
    return descend(G, optimizer, -(A.detach() * m * logp).sum() / len(fake))


def encode(text: str) -> list[int]:
    row = [BOS, *map(WORDS.index, text.split())]
    return row + [EOS] * (LENGTH - len(row))


def report(name: str, G: Player, held_out: Tensor) -> tuple[float, float]:
    """Held-out nats a text (does G reach the language) and the share of grammatical samples (does G stay in it)."""
    texts = [" ".join(WORDS[i] for i in x[1:] if i != EOS) for x in sample(G, torch.rand(1000, LENGTH)).tolist()]
    nll = -logprobs(G, held_out).sum(1).mean().item()
    grammatical = sum(text in LANGUAGE for text in texts) / len(texts)
    print(f"{name:24}{nll:.2f} nats a held-out text, {grammatical:.0%} grammatical: {texts[0]} | {texts[1]}")
    return nll, grammatical


def main(seed: int = 0, pretraining: int = 150, warmup: int = 50, rounds: int = 150, glr=5e-4, dlr=1e-3, ds=3) -> list[tuple[float, float]]:
    torch.manual_seed(seed)
    texts = torch.tensor([encode(text) for text in LANGUAGE])[torch.randperm(len(LANGUAGE))]
    train, held_out = texts[:400], texts[400:]
    G, D = Player(len(WORDS)), Player(1)
    fit(G, train, pretraining)
    measured = [report("pre-trained", G, held_out)]
    G0 = copy.deepcopy(G)
    D.load_state_dict(G.state_dict() | {"head.weight": torch.zeros(1, 64), "head.bias": torch.zeros(1)})
    g_optimizer = torch.optim.Adam(G.parameters(), lr=glr)
    d_optimizer = torch.optim.AdamW(D.parameters(), lr=dlr)
    for i in range(-warmup, rounds):
        for _ in range(ds):
            real, fake = train[torch.randint(len(train), (BATCH,))], sample(G, torch.rand(BATCH, LENGTH))
            discriminator_step(D, d_optimizer, real, fake)
        if i >= 0:
            generator_step(G, g_optimizer, D, G0, sample(G, torch.rand(BATCH, LENGTH)))
        if i % 50 == 49:
            measured.append(report(f"after {i + 1} rounds", G, held_out))
    fit(G0, train, 3 * rounds)
    return [*measured, report("likelihood instead", G0, held_out)]


if __name__ == "__main__":
    import sys
    main(**eval("dict("+(sys.argv[1] if len(sys.argv)>1 else "")+")"))
