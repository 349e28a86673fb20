"""The training loop: seeded, resumable to the bit, exporting as it goes."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, distributed

from abm.llm.embedded.training import vocabulary
from abm.llm.embedded.training.examples import Batch, Examples
from abm.llm.embedded.training.export import write_gguf
from abm.llm.embedded.training.network import Llama, Shape
from abm.llm.embedded.training.optimiser import optimisers, rate

__all__ = ["Plan", "Training"]


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes
    ----------
    seed
        Of weights, tokenizer and situations.
    steps
        Number of batches; may be changed on resume as long as the decay has not begun.
    tokens
        Tokens per batch, about.
    learning_rate
        Peak, for both optimisers.
    vocabulary, width, layers, heads, key_heads, hidden
        Sizes of the network.
    half_until
        Part of the steps whose matrix products are in bfloat16; the rest is in float32.
    checkpoint_every, export_every
        Steps between checkpoints and between GGUF files.
    """

    seed: int = 1
    steps: int = 11000
    tokens: int = 4096
    learning_rate: float = 4.5e-3
    vocabulary: int = 1536
    width: int = 160
    layers: int = 4
    heads: int = 5
    key_heads: int = 5
    hidden: int = 432
    half_until: float = 0.95
    checkpoint_every: int = 200
    export_every: int = 400

    @property
    def shape(self) -> Shape:
        return Shape(
            self.vocabulary, self.width, self.layers, self.heads, self.key_heads, self.hidden
        )


def losses(model: Llama, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean loss per prompt, and the total variation to the truth of each choice prompt."""
    states = model(batch.tokens)
    following = model.logits(states[batch.rows, batch.columns]).float().log_softmax(-1)
    token_loss = -following.gather(1, batch.targets[:, None])[:, 0]
    answers = model.logits(states[batch.choice_rows, batch.answers]).float().log_softmax(-1)
    choice_loss = -(batch.truth * answers).sum(-1)
    distance = 0.5 * (answers.detach().exp() - batch.truth).abs().sum(-1)
    loss = ((token_loss * batch.weights).sum() + 2.0 * choice_loss.sum()) / batch.n_whole
    return loss, distance


class Training:
    """One run in one folder.

    Parameters
    ----------
    plan
        What to do.
    folder
        Where tokenizer and checkpoint live.
    output
        GGUF file to write.
    part, parts
        Which share of each batch this process computes; several must have joined one process group.
    """

    def __init__(
        self, plan: Plan, folder: Path, output: Path, part: int = 0, parts: int = 1
    ) -> None:
        self.plan, self.folder, self.output = plan, folder, output
        self.part, self.parts = part, parts
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer = self._tokenizer()
        self.model = Llama(plan.shape, plan.seed)
        self.optimisers = optimisers(self.model, plan.learning_rate)
        self.examples = Examples(self.tokenizer, plan.seed, plan.tokens)
        self.step = 0
        self._resume()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def _tokenizer(self) -> Tokenizer:
        path = self.folder / "tokenizer.json"
        if not path.exists():
            vocabulary.train(self.plan.seed, self.plan.vocabulary).save(str(path))
        tokenizer = Tokenizer.from_file(str(path))
        assert tokenizer.get_vocab_size() == self.plan.vocabulary
        return tokenizer

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        held = torch.load(self.checkpoint, weights_only=True)
        self.step = held["step"]
        self.model.load_state_dict(held["model"])
        for optimiser, state in zip(self.optimisers, held["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        print(f"resuming at step {self.step}", flush=True)

    def save(self) -> None:
        """Write the checkpoint atomically."""
        held = {
            "step": self.step,
            "plan": asdict(self.plan),
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(held, partial)
        partial.replace(self.checkpoint)

    def advance(self) -> tuple[Batch, float, Tensor]:
        """One step; returns the batch, its loss and the total variations."""
        batch = self.examples.batch(self.step, self.part, self.parts)
        factor = rate(self.step, self.plan.steps)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.plan.learning_rate * factor
        half = self.step < self.plan.half_until * self.plan.steps
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss, distance = losses(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self._add_gradients()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        return batch, float(loss.detach()), distance

    def _add_gradients(self) -> None:
        """Sum the gradients of all processes; a sum of two does not depend on their order."""
        if self.parts == 1:
            return
        gradients = [w.grad for w in self.model.parameters() if w.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()

    def run(self, until: int | None = None) -> None:
        """Train to the end of the plan, or to step `until`."""
        meter = _Meter(self.parts)
        end = self.plan.steps if until is None else until
        while self.step < end:
            batch, loss, distance = self.advance()
            meter.add(batch, loss, distance)
            if self.step % 50 == 0 or self.step == end:
                line = meter.line()
                if self.part == 0:
                    print(f"step {self.step}/{self.plan.steps} {line}", flush=True)
            if self.part > 0:
                continue
            if self.step % self.plan.checkpoint_every == 0 or self.step == end:
                self.save()
            if self.step % self.plan.export_every == 0 or self.step == end:
                write_gguf(self.output, self.model, self.tokenizer)


class _Meter:
    """Progress since the last line. Wall-clock time is printed and never read."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self._clear()

    def _clear(self) -> None:
        self.start = time.perf_counter()
        self.tokens, self.loss, self.steps = 0, 0.0, 0
        self.distances: dict[str, list[float]] = defaultdict(list)

    def add(self, batch: Batch, loss: float, distance: Tensor) -> None:
        self.tokens += batch.tokens.numel()
        self.loss += loss
        self.steps += 1
        for kind, value in zip(batch.kinds, distance.tolist(), strict=True):
            self.distances[kind].append(value)

    def line(self) -> str:
        every = [value for values in self.distances.values() for value in values]
        mean = sum(every) / max(len(every), 1)
        speed = self.parts * self.tokens / (time.perf_counter() - self.start)
        kinds = " ".join(
            f"{kind}={sum(values) / len(values):.3f}"
            for kind, values in sorted(self.distances.items())
        )
        loss = self.parts * self.loss / self.steps
        text = f"loss {loss:.3f} tv {mean:.4f} {speed:.0f} tokens/s | {kinds}"
        self._clear()
        return text
