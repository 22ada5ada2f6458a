"""CUDA graphs of whole steps: each shape of batch is captured once and replayed, a step for the price of one launch.

    graphs = StepGraphs(device, "auto", kept)
    graphs.run("training", step, images, labels)        # step(images, labels), by replay where that can be

A step changes tensors in place, whose addresses stay, and returns nothing; what the host decides, but for tensors,
belongs into the key. Before the capture it is rehearsed (libraries choose algorithms, optimizers make their buffers), and
what that changed is put back, random generators too: replayed steps equal steps that were never captured.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

import torch
from torch import Tensor

REHEARSALS = 3
"""Steps before a capture: as many as PyTorch's documentation takes."""

MOST = 8
"""Shapes that are captured; further ones (batches that lost damaged files) are launched kernel by kernel."""

Step = Callable[..., None]


class Recorder:
    """Captures steps on a stream of its own into one pool of memory.

    The graphs may share the pool, whatever the order of their replays: a step leaves nothing in it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def rehearse(self, step: Callable[[], None]) -> None:
        """Run a step where it will be captured."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            step()
        current.wait_stream(self.stream)

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """Capture a step without running it; what is returned runs it.

        Raises:
            RuntimeError: it does something that cannot be captured.
        """
        current = torch.cuda.current_stream(self.device)
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: threads that load images may go on calling CUDA meanwhile
            with torch.cuda.graph(
                graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"
            ):
                step()
        finally:
            torch.cuda.set_stream(current)  # a capture that fails leaves its own stream behind
        return graph.replay


class StepGraphs:
    """Steps by key and shape of their inputs.

    Args:
        device: of the steps.
        wanted: "auto" captures on CUDA and goes on without where that fails; True insists; False never captures.
        kept: gives every tensor that a step changes, parameters included, those that its optimizers made so far.
        unfit: why steps of this kind cannot be captured, if they cannot.

    Attributes:
        reason: why steps are launched kernel by kernel; None while they are captured.
        peak_memory_bytes: the most that rehearsals and captures had allocated: a replay does not show it.

    Raises:
        ValueError: when graphs are insisted on and cannot be had.
    """

    def __init__(
        self,
        device: torch.device,
        wanted: bool | str,
        kept: Callable[[], Iterable[Tensor]],
        *,
        unfit: str | None = None,
    ) -> None:
        if wanted not in ("auto", True, False):
            raise ValueError(f"graphs must be 'auto', True or False; got {wanted!r}")
        off = None if device.type == "cuda" else f"the device is {device.type}"
        if wanted is True and (off or unfit):
            raise ValueError(
                f"steps cannot be captured as CUDA graphs: {off or unfit}; leave graphs to 'auto'"
            )
        self.device, self.kept, self.insist = device, kept, wanted is True
        self.reason = "not wanted" if wanted is False else off or unfit
        self.peak_memory_bytes = 0
        self.new_recorder: Callable[[], Recorder] = lambda: Recorder(device)
        self._recorder: Recorder | None = None
        self._graphs: dict[Hashable, Step] = {}

    def run(self, key: Hashable, step: Step, *inputs: Tensor) -> None:
        """`step(*inputs)`, once; `key` is all besides the inputs' shapes that decides which kernels it launches."""
        place = (key, *((value.shape, value.dtype) for value in inputs))
        if self.reason is None and place not in self._graphs and len(self._graphs) < MOST:
            graph = self._capture(step, inputs)
            if graph is not None:
                self._graphs[place] = graph
        self._graphs.get(place, step)(*inputs)

    def clear(self) -> None:
        """Forget the graphs, because tensors that they use were replaced; the next steps are captured anew."""
        self._graphs.clear()
        self._recorder = None  # its pool goes with the last graph

    def _capture(self, step: Step, inputs: Sequence[Tensor]) -> Step | None:
        if self._recorder is None:
            self._recorder = self.new_recorder()
        static = tuple(value.clone() for value in inputs)
        self._rehearse(self._recorder, lambda: step(*static))
        try:
            replay = self._recorder.record(lambda: step(*static))
        except RuntimeError as error:
            if self.insist:
                raise
            self._give_up(error)
            return None
        finally:
            if self.device.type == "cuda":
                peak = int(torch.cuda.max_memory_allocated(self.device))
                self.peak_memory_bytes = max(self.peak_memory_bytes, peak)

        def run(*values: Tensor) -> None:
            for place, value in zip(static, values, strict=True):
                place.copy_(value, non_blocking=True)
            replay()

        return run

    def _rehearse(self, recorder: Recorder, step: Callable[[], None]) -> None:
        saved = {id(tensor): (tensor, tensor.detach().clone()) for tensor in self.kept()}
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            for _ in range(REHEARSALS):
                recorder.rehearse(step)
        with torch.no_grad():
            for tensor in self.kept():
                if id(tensor) in saved:
                    tensor.copy_(saved[id(tensor)][1])
                else:  # an optimizer's buffer: zeros count as none
                    tensor.zero_()

    def _give_up(self, error: BaseException) -> None:
        """Go on kernel by kernel. Nothing was computed, since a capture runs no kernel."""
        cause = error.__context__ or error  # the end of a capture that failed raises over what made it fail
        self.reason = f"the capture failed: {' '.join(str(cause).split())[:200] or type(cause).__name__}"
        for tensor in self.kept():
            tensor.grad = None  # it may lie in the pool
        self.clear()
