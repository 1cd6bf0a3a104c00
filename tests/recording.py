"""CUDA graphs without a GPU: operations on tensors noted down, and done again on the same memory with the same numbers of the host."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Tensor = torch.Tensor
# What waits for a device, or brings something to it from memory that may have changed.
WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2")
CROSSING = ("cpu", "numpy", "tolist", "item", "tensor", "as_tensor", "from_numpy", "asarray", "__array__")


class Waits(RuntimeError):
    """The host waits for the device."""


class _NoCrossing(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in CROSSING and not (name == "as_tensor" and isinstance(args[0], Tensor)):
            raise Waits(f"{name} in a captured step")
        return func(*args, **(kwargs or {}))


class _Noted(TorchDispatchMode):
    """Does operations, notes them, and keeps what they overwrite."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.own: set[int] = set()  # storages made here
        self.before: dict[int, tuple[Any, Any]] = {}
        self.held: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.name.removeprefix("aten::") in WAITING:
            raise Waits(f"{func._schema.name} in a captured step")
        inputs = {x.untyped_storage().data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        for place, argument in zip(args, func._schema.arguments, strict=False):
            self._keep(place, argument)
        for argument in func._schema.arguments:
            self._keep(kwargs.get(argument.name), argument)
        result = func(*args, **kwargs)
        for made in tree_leaves(result):
            if isinstance(made, Tensor):
                self.held.append(made)
                pointer = made.untyped_storage().data_ptr()
                if pointer not in inputs and pointer not in self.before:
                    self.own.add(pointer)
        self.calls.append((func, args, kwargs, result))
        return result

    def _keep(self, place: Any, argument: Any) -> None:
        if argument.alias_info is None or not argument.alias_info.is_write:
            return
        for tensor in tree_leaves(place):
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.own and storage.data_ptr() not in self.before:
                self.before[storage.data_ptr()] = (storage, storage.clone())

    def undo(self) -> None:
        for storage, content in self.before.values():
            storage.copy_(content)

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, result in self.calls:
                if any(returned.alias_info is not None for returned in func._schema.returns):
                    if any(a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments):
                        func(*args, **kwargs)
                    continue  # a view is where it was
                again = func(*args, **kwargs)
                for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                    if isinstance(old, Tensor):
                        old.detach().copy_(new)


class CpuRecorder:
    """A recorder for captured.py whose recordings know nothing of the host but what it said while they were made."""

    def __init__(self, generators: Sequence[torch.Generator] = ()) -> None:
        self.recorded = self.replayed = 0
        made.append(self)
        self._generators = generators

    def record(self, work: Callable[[], tuple[Tensor, ...]]) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        states = [generator.get_state() for generator in self._generators]
        noted = _Noted()
        try:
            with _NoCrossing(), noted:
                outputs = work()
        finally:
            noted.undo()
            for generator, state in zip(self._generators, states, strict=True):
                generator.set_state(state)
        for output in outputs:  # which have no values yet
            output.detach().fill_(torch.nan)
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            noted.replay()

        return outputs, replay


made: list[CpuRecorder] = []


def recorders() -> list[CpuRecorder]:
    """Those that will be made, from now on."""
    made.clear()
    return made
