"""Steps of a fit that are recorded once and then replayed, on a GPU as CUDA graphs: one launch in place of hundreds.

A recording repeats the operations of the step it was made of on the same memory. What a step reads must therefore lie where it lay, and
what differs from step to step must be a tensor that is written before: rates, the weight of the rate, the batch where every step has its
own. Nothing in it may wait for the device.
"""

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import torch

Tensor = torch.Tensor
Outputs = tuple[Tensor, ...]
Work = Callable[..., Outputs]
MOST_RECORDINGS = 512  # of a fit; what comes later runs by itself


class Recorder(Protocol):
    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        """Note what `work` does without doing it: its outputs, which have values after the first replay, and the replay."""
        ...


class CudaRecorder:
    """CUDA graphs of the current stream, which must not be the default one. They share one pool of memory, so only one runs at a time."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._generators = generators
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        # Other threads go on with fits of their own, which must not end this capture.
        graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
        try:
            outputs = work()
        except BaseException:
            with suppress(RuntimeError):
                graph.capture_end()
            raise
        graph.capture_end()
        return outputs, graph.replay


@dataclass(frozen=True, eq=False)
class Recording:
    """A step, the memory of its inputs and outputs, and how it is replayed."""

    inputs: tuple[Tensor, ...]
    outputs: Outputs
    replay: Callable[[], None]

    def run(self, inputs: Sequence[Tensor]) -> Outputs:
        for place, value in zip(self.inputs, inputs, strict=True):
            place.copy_(value)
        self.replay()
        # The next recording may use their memory.
        return tuple(output.clone() for output in self.outputs)


class Captured:
    """Runs steps: a kind of step by itself the first time, so that all it keeps is there, then recorded, and from then on replayed.

    Without a recorder every step runs by itself, and so does what follows a recording that fails.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._owners: tuple[object, ...] = ()
        self._seen: set[Hashable] = set()
        self._recordings: dict[Hashable, Recording] = {}

    def run(self, kind: Hashable, work: Work, *, inputs: tuple[Tensor, ...] = (), owners: tuple[object, ...] = ()) -> Outputs:
        """What `work` gives for the inputs. It does the same for every step of a `kind`, as long as the `owners` of what it reads and
        changes are the same objects; with others all recordings are given up."""
        if self._recorder is None:
            return work(*inputs)
        if len(owners) != len(self._owners) or any(a is not b for a, b in zip(owners, self._owners, strict=True)):
            self._owners = owners
            self._seen.clear()
            self._recordings.clear()
        found = self._recordings.get(kind)
        if found is None and kind in self._seen and len(self._recordings) < MOST_RECORDINGS:
            found = self._recorded(kind, work, inputs)
        if found is None:
            self._seen.add(kind)
            return work(*inputs)
        return found.run(inputs)

    def _recorded(self, kind: Hashable, work: Work, inputs: tuple[Tensor, ...]) -> Recording | None:
        assert self._recorder is not None
        places = tuple(value.clone() for value in inputs)
        try:
            outputs, replay = self._recorder.record(lambda: work(*places))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            warnings.warn(f"fit: its steps cannot be captured as CUDA graphs and run one by one ({reason})", RuntimeWarning, stacklevel=2)
            self._recorder = None
            self._recordings.clear()
            return None
        made = self._recordings[kind] = Recording(places, outputs, replay)
        return made


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How closely the host follows a fit. On a CPU it reads every result at once; a GPU would stand still meanwhile.

    look_every: steps between readings, of which steps between looks for divergence are a multiple. held: what differs from step to step
    lies on the device. graphs: steps are captured.
    """

    look_every: int = 1
    held: bool = False
    graphs: bool = False
    recorder: Callable[[Sequence[torch.Generator]], Recorder] = CudaRecorder


HOST = Pace()
LOOK_EVERY = 5  # on a GPU


def pace_of(device: torch.device, *, graphs: bool) -> Pace:
    return Pace(look_every=LOOK_EVERY, held=True, graphs=graphs) if device.type == "cuda" else HOST


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """On a GPU, run what follows in a stream of its own: steps can be captured there, and run beside those of other threads."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    outside = torch.cuda.current_stream(device)
    stream.wait_stream(outside)
    with torch.cuda.device(device), torch.cuda.stream(stream):
        yield
    outside.wait_stream(stream)
