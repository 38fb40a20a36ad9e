"""A text GAN in plain torch: mgan's loop, for reading. An LSTM that writes (the generator G, P_theta) plays against
an LSTM that judges every prefix (the discriminator D = sigmoid(d), d the log-odds of "real"):

    min_G max_D   E_real[log D(t)] + E_G[log(1 - D(g))]

With D optimal d(x_<=i) = log p_data(x_<=i) - log P_theta(x_<=i). Paying G for its i-th word what that word added,
d_i - d_{i-1}, descends KL(G || data). Texts are rows of x [B, L]: BOS, words, then EOS to the end."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

# The language: the verb agrees with the first noun, not the nearest one: "the cats near the dog chase the bird".
NOUNS = ["cat", "dog", "bird", "fox", "cats", "dogs", "birds", "foxes"]
NEAR = ["", *(f"near the {noun} " for noun in NOUNS)]
LANGUAGE = [f"the {noun} {near}{verb}{'' if noun.endswith('s') else 's'} the {other}" for noun in NOUNS
            for near in NEAR for verb in ("chase", "see", "hear") for other in NOUNS]  # fmt: skip
WORDS = ["<bos>", "<eos>", *sorted({word for text in LANGUAGE for word in text.split()})]
BOS, EOS, LENGTH, BATCH, KL = 0, 1, 10, 64, 0.05


class Player(nn.Module):  # as many outputs as words: a generator; one output: a discriminator
    def __init__(self, outputs: int, words: int = len(WORDS), hidden: int = 64):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(words, hidden), nn.LSTM(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, state = self.lstm(self.embedding(x), state)
        return self.head(hidden), state


def mask(x: Tensor) -> Tensor:  # 1 on what a player chose and is judged by: after BOS up to the first EOS
    return pad(((x == EOS).cumsum(1) <= (x == EOS).long())[:, 1:], (1, 0)).float()


def logprobs(G: Player, x: Tensor) -> Tensor:  # log P(x_i | x_<i) of every word, 0 off the text
    logits = G(x)[0][:, :-1].log_softmax(-1)
    return pad(logits.gather(-1, x[:, 1:, None]).squeeze(-1), (1, 0)) * mask(x)


def judge(D: Player, x: Tensor) -> Tensor:  # d(x_<=i) of every prefix, 0 for BOS, with which all texts begin
    return D(x)[0].squeeze(-1) * mask(x)


@torch.no_grad()
def sample(G: Player, uniforms: Tensor) -> Tensor:
    """x_i ~ P(. | x_<i): the word in whose slice of the cumulative distribution u_i, uniform in [0, 1), falls"""
    x, state = pad(torch.full(uniforms.shape, EOS)[:, 1:], (1, 0), value=BOS), None
    for i in range(1, x.shape[1]):
        logits, state = G(x[:, i - 1 : i], state)
        cumulative = logits[:, -1].log_softmax(-1).exp().cumsum(-1)
        word = torch.searchsorted(cumulative, uniforms[:, i : i + 1] * cumulative[:, -1:], right=True)
        x[:, i] = torch.where(x[:, i - 1] == EOS, EOS, word.squeeze(1))
    return x


def descend(player: Player, optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(player.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def likelihood_steps(G: Player, train: Tensor, steps: int) -> None:
    """max_G E_real[sum_i log P(t_i | t_<i)]"""
    optimizer = torch.optim.AdamW(G.parameters(), lr=3e-3)
    for _ in range(steps):
        real = train[torch.randint(len(train), (BATCH,))]
        descend(G, optimizer, -logprobs(G, real).sum() / mask(real).sum())


def discriminator_step(D: Player, optimizer: torch.optim.Optimizer, real: Tensor, fake: Tensor) -> float:
    """max_D E_real[log D] + E_G[log(1 - D)] on every prefix: log D = -softplus(-d), log(1 - D) = -softplus(d)"""
    loss = (softplus(-judge(D, real)) * mask(real)).sum() + (softplus(judge(D, fake)) * mask(fake)).sum()
    return descend(D, optimizer, loss / (mask(real).sum() + mask(fake).sum()) * 2)


def generator_step(G: Player, optimizer: torch.optim.Optimizer, D: Player, G0: Player, fake: Tensor) -> float:
    """max_G E_G[sum_i A_i log P(g_i | g_<i)]: the policy gradient (Williams 1992), held near the pre-trained G0"""
    m, logp, d = mask(fake), logprobs(G, fake), judge(D, fake)
    r = (d - pad(d, (1, -1))) * m - KL * (logp - logprobs(G0, fake))  # r_i = d_i - d_{i-1} - KL (log P - log P_0)
    R = r.flip(1).cumsum(1).flip(1) * m  #                              R_i = sum_{j >= i} r_j
    A = R - (R.sum(0) - R) / (m.sum(0) - 1).clamp(min=1)  #             A_i = R_i - mean R_i of the other rows
    return descend(G, optimizer, -(A.detach() * m * logp).sum() / len(fake))


def measure(name: str, G: Player, held_out: Tensor) -> tuple[float, float]:
    """Held-out nats a text (does G reach the language) and the share of grammatical samples (does G stay in it)."""
    texts = [" ".join(WORDS[i] for i in x[1:] if i != EOS) for x in sample(G, torch.rand(1000, LENGTH)).tolist()]
    nll, right = -logprobs(G, held_out).sum(1).mean().item(), sum(text in LANGUAGE for text in texts) / len(texts)
    print(f"{name:22}{nll:.2f} nats a held-out text, {right:.0%} grammatical: {texts[0]} | {texts[1]}")
    return nll, right


def main(seed: int = 0, pretraining: int = 80, warmup: int = 50, rounds: int = 100) -> list[tuple[float, float]]:
    torch.manual_seed(seed)
    rows = [[BOS, *map(WORDS.index, text.split()), *[EOS] * LENGTH][:LENGTH] for text in LANGUAGE]
    train, held_out = torch.tensor(rows)[torch.randperm(len(rows))].tensor_split([400])
    G, G0, D = Player(outputs=len(WORDS)), Player(outputs=len(WORDS)), Player(outputs=1)
    likelihood_steps(G, train, pretraining)
    measured = [measure("pre-trained", G, held_out)]
    G0.load_state_dict(G.state_dict())  # stays as it is; D starts from what G knows, and undecided
    D.load_state_dict(G.state_dict() | {"head.weight": torch.zeros(1, 64), "head.bias": torch.zeros(1)})
    g_optimizer, d_optimizer = (torch.optim.AdamW(player.parameters(), lr=1e-3) for player in (G, D))
    for i in range(-warmup, rounds):  # D alone at first, against the pre-trained G
        for _ in range(3):
            real, fake = train[torch.randint(len(train), (BATCH,))], sample(G, torch.rand(BATCH, LENGTH))
            discriminator_step(D, d_optimizer, real, fake)
        if i >= 0:
            generator_step(G, g_optimizer, D, G0, sample(G, torch.rand(BATCH, LENGTH)))
        if i + 1 in (rounds // 2, rounds):
            measured.append(measure(f"after {i + 1} rounds", G, held_out))
    likelihood_steps(G0, train, rounds)  # The honest question: what would plain likelihood have done instead?
    return [*measured, measure("likelihood instead", G0, held_out)]


if __name__ == "__main__":
    main()
