"""The trained pair: a generator to write with and a discriminator to score with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mgan.data.readers import Example, Prompt, answer
from mgan.data.records import asked
from mgan.data.rows import Rows, encode, shortened
from mgan.data.tokenizers import Tokenizer
from mgan.models.build import load_player
from mgan.models.latent import noise_of
from mgan.models.protocols import Discriminator, Generator
from mgan.sampling import sliding, streaming
from mgan.sampling.beam import Beam, search
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.distribution import draw_tokens
from mgan.sampling.uniforms import row_seeds, stream, uniforms
from mgan.types import Batch, UserError, collate

CHUNK = 256
NEAR = 1024
"""Sources among which those of like length are translated together."""
TRIES = 20
COLDEST = 0.01
EMPTY = "the generator writes almost only empty texts; give a prompt, or train it for longer"
LIKELIEST_EMPTY = "the likeliest text is an empty one: draw one with --temperature 1, or train the run for longer"


@dataclass(frozen=True)
class Pair:
    """temperature: the default of ``generate``. pair_temperature: at which the discriminator saw the generator's
    text, and so the default where it reranks. prompted: the training text had prompts. lowercase: it was lower-cased.
    chats: the prompts were messages. ending: the white space that all of them ended with.
    """

    generator: Generator
    discriminator: Discriminator
    tokenizer: Tokenizer
    context: int
    temperature: float
    pair_temperature: float
    prompted: bool
    lowercase: bool
    chats: bool = False
    ending: str = ""

    def generate(
        self,
        prompt: Prompt = "",
        n: int = 10,
        *,
        temperature: float | None = None,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int = 0,
        rerank: int = 1,
        length: int | None = None,
    ) -> list[str]:
        """``n`` non-empty texts, each a completion of ``prompt``: text, or messages as (role, content).

        rerank: draw so many candidates for each text and keep one with probability proportional to exp(d):
        the pair's distribution in place of the generator's.
        length: the most tokens of a text; beyond the context it goes on in windows (``sampling.sliding``). None: until
        the context is full.
        """
        if n < 1 or rerank < 1:
            raise UserError("n and rerank must be 1 or more")
        settings = self.sampling(temperature, top_k, top_p, min_p, seed, rerank)
        row = self._prompt(prompt)
        if length is not None:
            self._check_length(length, rerank)
        texts: list[str] = []
        for attempt in range(self._tries(top_k) * (1 + n // CHUNK)):
            wanted, seeded = min(CHUNK, n - len(texts)), stream(seed, attempt)
            if length is None:
                chosen = self._complete(row, wanted, settings, seeded, rerank)
            else:
                chosen = self._long(row, wanted, settings, seeded, length)
            found = (self.tokenizer.completion([*row[0], *written], row[1]) for written in chosen)
            texts += [text for text in found if text.strip()]
            if len(texts) >= n:
                return texts[:n]
        raise UserError(LIKELIEST_EMPTY if top_k == 1 else EMPTY)

    def stream(
        self, prompt: Prompt = "", *, temperature: float | None = None, top_k: int = 0, top_p: float = 1.0,
        min_p: float = 0.0, seed: int = 0,
    ) -> Iterator[str]:  # fmt: skip
        """The text that ``generate`` writes for n=1, in pieces as they are drawn, none of them half a character."""
        settings = self.sampling(temperature, top_k, top_p, min_p, seed)
        row, given = self._prompt(prompt)
        for attempt in range(self._tries(top_k)):
            ids = streaming.tokens(
                self.generator, row, max_length=self.context, eos=self.tokenizer.eos, pad=self.tokenizer.pad,
                seed=stream(seed, attempt), sampling=settings,
            )  # fmt: skip
            begun = False
            for piece in streaming.pieces(ids, lambda written: self.tokenizer.completion([*row, *written], given)):
                begun = True
                yield piece
            if begun:
                return
        raise UserError(LIKELIEST_EMPTY if top_k == 1 else EMPTY)

    def _tries(self, top_k: int) -> int:
        """The likeliest text is the same each time, unless noise changes it."""
        return 1 if top_k == 1 and noise_of(self.generator) is None else TRIES

    def taken(self, prompt: Prompt) -> int:
        """How many tokens of the context the prompt takes."""
        return len(self._tokens(prompt))

    def translate(self, sources: Sequence[str], beam: int = 4, length_penalty: float = 1.0) -> list[str]:
        """What a beam search finds for each source; "" for a blank one. See ``translations``."""
        return list(self.translations(sources, beam, length_penalty))

    def translations(
        self, sources: Sequence[str], beam: int = 4, length_penalty: float = 1.0, truncate: bool = False
    ) -> Iterator[str]:
        """In order, as they are found. beam: its width; 1 is greedy. length_penalty: see ``sampling.beam``.

        A source that leaves no room in the context is cut as in training, with ``truncate``; else raises UserError,
        with its place, counted from 1.
        """
        if beam < 1 or not 0 <= length_penalty < float("inf"):
            raise UserError("beam must be 1 or more and length_penalty 0 or more")
        if self.tokenizer.labels or self.tokenizer.blanks:
            raise UserError("this run's texts are no translations of a source: use mgan generate")
        given = [self._cased(answer(self.question(source.strip()), "")) for source in sources]
        rows = self.tokenizer.prompts(given)
        for number, row in enumerate(rows, 1):
            if len(row) < self.context:
                continue
            if not truncate:
                raise UserError(
                    f"line {number} has {len(row) - 1} tokens, but generator.context={self.context} leaves room for "
                    f"{self.context - 2} and a translation: part it into sentences, or give --truncate"
                )
            rows[number - 1] = shortened(row, self.context, self.tokenizer.sources)
        for start in range(0, len(rows), NEAR):
            part = range(start, min(start + NEAR, len(rows)))
            # Rows of like length have little padding.
            order = sorted((i for i in part if sources[i].strip()), key=lambda i: len(rows[i]))
            found: dict[int, str] = {}
            count = max(1, CHUNK // beam)
            for first in range(0, len(order), count):
                chosen = order[first : first + count]
                found |= zip(chosen, self._found([rows[i] for i in chosen], beam, length_penalty), strict=True)
            yield from (found.get(i, "") for i in part)

    def score(self, texts: Sequence[str], prompts: Sequence[Prompt] | None = None) -> list[float]:
        """The discriminator's probability that each text is real, as the completion of its prompt if there are any.

        A text cut into windows gets their mean logit.
        """
        rows = self._rows(texts, prompts)
        total, count = torch.zeros(len(texts)), torch.zeros(len(texts))
        for start in range(0, len(rows), CHUNK):
            index = range(start, min(start + CHUNK, len(rows)))
            text = torch.as_tensor(rows.text_index[list(index)])
            total.index_add_(0, text, self._logits(rows.batch(list(index))))
            count.index_add_(0, text, torch.ones(len(index)))
        # An empty text that no EOS ends has no row: the bare prompt's logit is 0.
        return torch.sigmoid(total / count.clamp(min=1)).tolist()

    def question(self, question: str, context: str = "") -> Prompt:
        """A question as this run's prompts are, behind the passage it is about: what a user says, or text."""
        if self.chats:
            return (("user", asked(question, context, ending="")),)
        return asked(question, context, self.ending)

    def longer_than_context(self, texts: Sequence[str], prompts: Sequence[Prompt] | None = None) -> int:
        """How many of the texts, with what is given before them, are scored in windows."""
        return self._rows(texts, prompts).windowed

    def _rows(self, texts: Sequence[str], prompts: Sequence[Prompt] | None) -> Rows:
        pairs = zip(prompts or [""] * len(texts), texts, strict=True)
        return encode([self._cased(answer(prompt, text)) for prompt, text in pairs], self.tokenizer, self.context)

    def unknown(self, texts: Sequence[str]) -> tuple[int, int]:
        """How many tokens of the texts this tokenizer does not know, of how many."""
        cased = [self._cased(Example("", text)).text for text in texts]
        tokens = [t for row in self.tokenizer.encode_batch(cased) for t in row]
        return sum(token == self.tokenizer.unk for token in tokens), len(tokens)

    def _cased(self, example: Example) -> Example:
        return example.lower() if self.lowercase else example

    def sampling(
        self, temperature: float | None = None, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0, seed: int = 0,
        rerank: int = 1,
    ) -> Sampling:  # fmt: skip
        """How ``generate`` draws if it is asked so; UserError for what is out of range."""
        if temperature is not None and not COLDEST <= temperature < float("inf"):
            raise UserError(f"temperature must be {COLDEST} or more, not {temperature}")
        if top_k < 0 or not 0 < top_p <= 1:
            raise UserError("top_k must be 0 (off) or more and top_p in (0, 1]")
        if not 0 <= min_p <= 1:
            raise UserError("min_p must be in [0, 1]; 0 is off")
        if not 0 <= seed < 2**63:
            raise UserError(f"seed must be from 0 to 2**63 - 1, not {seed}")
        if temperature is None:
            temperature = self.pair_temperature if rerank > 1 else self.temperature
        return Sampling(temperature, top_k, top_p, self.tokenizer.never, min_p)

    def _tokens(self, prompt: Prompt) -> list[int]:
        (tokens,) = self.tokenizer.prompts([self._cased(answer(prompt, ""))])
        return tokens

    def _prompt(self, prompt: Prompt) -> tuple[list[int], int]:
        tokens = self._tokens(prompt)
        if len(tokens) >= self.context:
            raise UserError(
                f"the prompt has {len(tokens) - 1} tokens, but generator.context={self.context} leaves room for "
                f"{self.context - 2} and a completion; shorten it"
            )
        return tokens, len(tokens)

    def _complete(
        self, row: tuple[list[int], int], count: int, settings: Sampling, seed: int, candidates: int
    ) -> list[list[int]]:
        """Completions without prompt and padding."""
        prompts = collate([row] * (count * candidates), self.tokenizer.pad)
        written = sample(
            self.generator, prompts, max_length=self.context, eos=self.tokenizer.eos, pad=self.tokenizer.pad,
            seed=seed, sampling=settings,
        )  # fmt: skip
        if candidates > 1:
            logits = self._logits(written).view(count, candidates)
            chance = uniforms(row_seeds(stream(seed, 1), count), 1).squeeze(1)
            kept = draw_tokens(logits, chance)[0] + torch.arange(count) * candidates
            written = written.rows(kept)
        return [
            [token for token, mine in zip(tokens, mask, strict=True) if mine]
            for tokens, mask in zip(written.tokens.tolist(), written.mask.tolist(), strict=True)
        ]

    def _found(self, rows: list[list[int]], width: int, length_penalty: float) -> list[str]:
        """The texts that a beam finds behind these prompts."""
        prompts = collate([(row, len(row)) for row in rows], self.tokenizer.pad)
        room: dict[str, Any] = {"max_length": self.context, "eos": self.tokenizer.eos, "pad": self.tokenizer.pad}
        if width == 1:
            greedy = Sampling(top_k=1, suppress=self.tokenizer.never)
            batch = sample(self.generator, prompts, sampling=greedy, **room)
        else:
            batch = search(self.generator, prompts, Beam(width, length_penalty, self.tokenizer.never), **room)
        columns = (batch.tokens.tolist(), batch.lengths.tolist(), batch.prompt_length.tolist())
        return [self.tokenizer.completion(row[:length], given) for row, length, given in zip(*columns, strict=True)]

    def _check_length(self, length: int, rerank: int) -> None:
        if length < 1:
            raise UserError(f"length must be 1 or more, not {length}")
        if self.tokenizer.blanks:
            raise UserError("length is for texts that go on; this run's generator fills in blanks: leave it out")
        if rerank > 1:
            raise UserError("rerank compares whole texts, and length cuts or continues them: give one of the two")

    def _long(
        self, row: tuple[list[int], int], count: int, settings: Sampling, seed: int, length: int
    ) -> list[list[int]]:
        """Completions of at most ``length`` tokens, in as many windows as they need."""
        whole = self.tokenizer.sources or self.tokenizer.labels
        cut = len(row[0]) if whole else 1
        return sliding.write(
            self.generator, row[0][:cut], row[0][cut:], places=range(count), length=length, context=self.context,
            eos=self.tokenizer.eos, pad=self.tokenizer.pad, seed=seed, sampling=settings,
        )  # fmt: skip

    @torch.no_grad()
    def _logits(self, batch: Batch) -> Tensor:
        parts = [batch.rows(slice(i, i + CHUNK)) for i in range(0, len(batch), CHUNK)]
        return torch.cat([self.discriminator.verdict(part.tokens, part.mask) for part in parts]).float()


def load(run: Path | str) -> Pair:
    """The pair of a finished run folder; nothing in it is executed."""
    folder = Path(run)
    if not (folder / "results.json").is_file():
        raise UserError(f"{folder.name} is not finished: type mgan resume {folder.name} first")
    generator, architecture, facts = load_player(folder / "generator")
    discriminator, _, seen = load_player(folder / "discriminator")
    tokenizer = Tokenizer.load(folder / "generator")
    try:
        return Pair(
            generator, discriminator, tokenizer, architecture.context,
            temperature=float(facts["temperature"]), pair_temperature=float(seen["temperature"]),
            prompted=bool(facts["prompted"]), lowercase=bool(facts["lowercase"]),
            chats=bool(facts.get("chats", False)), ending=str(facts.get("ending", "")),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'generator' / 'config.json'} is altered: it lacks {error}") from error
