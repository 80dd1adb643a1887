"""`import_torch_state`: a run of torch goes on in gradtx with torch's numbers."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from tests.migration.runs import assert_close, go, gradients, start

PATHS = ["mlp/0/b", "mlp/0/w", "mlp/1/w", "scale"]  # torch's parameters in this order
TRANSPOSED = {"mlp/0/w", "mlp/1/w"}

DECAYED = gradtx.chain(gradtx.add_decayed_weights(0.1), gradtx.adam(0.1))

# (torch's optimizer, its settings, ours)
METHODS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "adam": ("Adam", {"lr": 0.1}, gradtx.adam(0.1)),
    "adam with decay": ("Adam", {"lr": 0.1, "weight_decay": 0.1}, DECAYED),
    "adamw": ("AdamW", {"lr": 0.1, "weight_decay": 0.03}, gradtx.adamw(0.1, weight_decay=0.03)),
    "amsgrad": ("Adam", {"lr": 0.1, "amsgrad": True}, gradtx.amsgrad(0.1, like="torch")),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}, gradtx.sgd(0.1, momentum=0.9)),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}, gradtx.sgd(0.1, momentum=0.9, nesterov=True)),
    "rmsprop": ("RMSprop", {"lr": 0.1}, gradtx.rmsprop(0.1, like="torch")),
    "rmsprop with momentum": ("RMSprop", {"lr": 0.1, "momentum": 0.8}, gradtx.rmsprop(0.1, momentum=0.8, like="torch")),
    "rmsprop centered": (
        "RMSprop",
        {"lr": 0.1, "centered": True, "momentum": 0.8},
        gradtx.rmsprop(0.1, centered=True, momentum=0.8, like="torch"),
    ),
    "adagrad": ("Adagrad", {"lr": 0.1, "lr_decay": 0.05}, gradtx.adagrad(0.1, lr_decay=0.05, like="torch")),
}
METHODS["adam with decay"] = (
    *METHODS["adam with decay"][:2],
    gradtx.chain(gradtx.add_decayed_weights(0.1), gradtx.adam(0.1)),
)


def at(tree: Any, path: str) -> Any:
    """Return the array of a tree at a path."""
    for step in path.split("/"):
        tree = tree[int(step) if isinstance(tree, list) else step]
    return tree


def turned(path: str, x: Any) -> Any:
    """Return an array as the other library has it."""
    return np.transpose(x) if path in TRANSPOSED else np.asarray(x)


def place(number: int) -> Any:
    """Return where torch's parameter of this number goes."""
    path = PATHS[number]
    return (path, np.transpose) if path in TRANSPOSED else path


class TorchRun:
    """A run of torch on the gradients of `runs.py`."""

    def __init__(self, torch: ModuleType, name: str, settings: dict[str, Any], *, named: bool = False) -> None:
        """Start it."""
        self.torch = torch
        self.params = [torch.tensor(turned(path, at(start(), path)).copy(), requires_grad=True) for path in PATHS]
        given = list(zip(PATHS, self.params, strict=True)) if named else self.params
        self.optimizer = getattr(torch.optim, name)(given, **settings)

    def tree(self) -> Any:
        """Return the parameters as ours has them."""
        flat = {path: turned(path, p.detach().numpy().copy()) for path, p in zip(PATHS, self.params, strict=True)}
        layers = [{"w": flat["mlp/0/w"], "b": flat["mlp/0/b"]}, {"w": flat["mlp/1/w"]}]
        return jax.tree.map(jnp.asarray, {"mlp": layers, "scale": flat["scale"]})

    def go(self, first: int, steps: int = 5) -> None:
        """Take some steps."""
        for step in range(first, first + steps):
            grads = gradients(self.tree(), step)
            for path, p in zip(PATHS, self.params, strict=True):
                p.grad = self.torch.tensor(turned(path, at(grads, path)).copy())
            self.optimizer.step()


@pytest.fixture(scope="module")
def torch() -> Any:
    """Return torch where it is installed."""
    return pytest.importorskip("torch")


@pytest.mark.parametrize("name", METHODS)
def test_numbers_go_on(name: str, torch: Any) -> None:
    method, settings, tx = METHODS[name]
    run = TorchRun(torch, method, settings)
    run.go(0)
    params, saved = run.tree(), run.optimizer.state_dict()
    state, report = gradtx.import_torch_state(tx, params, saved, place)
    assert report.dropped == ()
    assert all(key.endswith(("/count", "/event")) for key in report.added)
    run.go(5)
    assert_close(go(tx, params, state, 5)[0], run.tree())


def test_a_file_and_names(torch: Any, tmp_path: Path) -> None:
    """An optimizer that was given names says them, and a weights-only file holds them."""
    run = TorchRun(torch, "AdamW", {"lr": 0.1}, named=True)
    run.go(0)
    file = tmp_path / "optimizer.pt"
    torch.save(run.optimizer.state_dict(), file)
    tx = gradtx.adamw(0.1, weight_decay=0.01)
    names: list[str] = []

    def by_name(name: str) -> Any:
        names.append(name)
        return (name, np.transpose) if name in TRANSPOSED else name

    state, _ = gradtx.import_torch_state(tx, run.tree(), file, by_name)
    assert names == PATHS
    params = run.tree()
    run.go(5)
    assert_close(go(tx, params, state, 5)[0], run.tree())


def test_bfloat16_tensors_come_in_exactly(torch: Any) -> None:
    moment = torch.full((2,), 0.1, dtype=torch.bfloat16)
    saved = {"state": {0: {"momentum_buffer": moment}}, "param_groups": [{"params": [0]}]}
    tx = gradtx.sgd(0.1, momentum=0.9)
    state, _ = gradtx.import_torch_state(tx, {"w": jnp.zeros(2, jnp.bfloat16)}, saved, lambda _: "w")
    assert state[0].trace["w"].tolist() == moment.float().tolist()


# --- without torch: dicts as torch 2.13.0 writes them, its tensors as arrays ---------------------------------------


def recorded(fields: dict[str, float], step: float | None = 3.0) -> dict[str, Any]:
    """Return the dict of an optimizer of two parameters, a matrix (out, in) and a bias."""
    state: dict[int, dict[str, Any]] = {}
    for i, shape in enumerate([(2, 3), (2,)]):
        rising = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        state[i] = {name: rising + np.float32(value) for name, value in fields.items()}
        state[i] |= {} if step is None else {"step": np.float32(step)}
    return {"state": state, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}


LINEAR = {"w": jnp.zeros((3, 2), jnp.float32), "b": jnp.zeros(2, jnp.float32)}
ADAM = gradtx.adam(0.1)
MOMENTS = {"exp_avg": 1.0, "exp_avg_sq": 2.0}


def linear(number: int) -> Any:
    """Return where the two parameters go."""
    return ("w", np.transpose) if number == 0 else "b"


def test_a_recorded_dict() -> None:
    state, report = gradtx.import_torch_state(ADAM, LINEAR, recorded(MOMENTS), linear)
    assert (report.added, report.dropped) == (("adam/scale_by_learning_rate/event",), ())
    assert state[0].mu["w"].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert state[0].nu["b"].tolist() == [2, 3]
    assert [int(s.count) for s in state] == [3, 3]


def test_arrays_become_wider_and_not_narrower() -> None:
    wide = jax.tree.map(lambda p: p.astype("float64"), LINEAR)
    state, _ = gradtx.import_torch_state(ADAM, wide, recorded(MOMENTS), linear)
    assert state[0].mu["w"].dtype == jnp.float64
    saved = recorded(MOMENTS)
    saved["state"][1]["exp_avg"] = saved["state"][1]["exp_avg"].astype(np.float64)
    with pytest.raises(ValueError, match=r"mu/b' is float64 of shape \(2,\), expected float32 of shape \(2,\); .*cast"):
        gradtx.import_torch_state(ADAM, LINEAR, saved, linear)


def test_a_centered_mean_becomes_the_variance() -> None:
    saved = recorded({"square_avg": 100.0, "grad_avg": 1.0})
    tx = gradtx.rmsprop(0.1, centered=True, like="torch")
    state, _ = gradtx.import_torch_state(tx, LINEAR, saved, linear)
    assert state[0].slots["variance"]["b"].tolist() == [100 - 1, 101 - 4]


def test_the_first_step_of_sgd_has_no_buffer() -> None:
    """Torch writes None where no step was made."""
    saved = recorded({}, step=None)
    saved["state"] = {i: {"momentum_buffer": None} for i in range(2)}
    with pytest.raises(ValueError, match=r"^import_torch_state: the state lacks sgd/trace/trace/b, sgd/trace/trace/w"):
        gradtx.import_torch_state(gradtx.sgd(0.1, momentum=0.9), LINEAR, saved, linear)
    tx = gradtx.sgd(0.1, momentum=0.9)
    state, report = gradtx.import_torch_state(tx, LINEAR, saved, linear, may_add=["sgd/trace/trace"])
    assert_close(state, tx.init(LINEAR))
    assert set(report.added) == set(gradtx.export_state(tx, state))


def test_a_schedule_needs_the_count_that_sgd_does_not_keep() -> None:
    saved = recorded({"momentum_buffer": 1.0}, step=None)
    tx = gradtx.sgd(gradtx.schedules.linear(1.0, 0.0, 10), momentum=0.9)
    with pytest.raises(ValueError, match=r"^import_torch_state: scale_by_learning_rate.learning_rate is a sch.*count="):
        gradtx.import_torch_state(tx, LINEAR, saved, linear)
    state, _ = gradtx.import_torch_state(tx, LINEAR, saved, linear, count=4)
    assert gradtx.hyperparams(tx, state)["scale_by_learning_rate.learning_rate"] == pytest.approx(0.6)


def test_a_parameter_may_be_left_behind() -> None:
    state, report = gradtx.import_torch_state(
        ADAM, {"b": LINEAR["b"]}, recorded(MOMENTS), lambda i: None if i == 0 else "b"
    )
    assert report.dropped == ("0/exp_avg", "0/exp_avg_sq", "0/step")
    assert state[0].mu["b"].tolist() == [1, 2]


def test_one_step_for_all() -> None:
    saved = recorded(MOMENTS)
    saved["state"][1]["step"] = np.float32(2)
    with pytest.raises(ValueError, match=r"^import_torch_state: state_dict holds the steps \[2, 3\], expected one"):
        gradtx.import_torch_state(ADAM, LINEAR, saved, linear)
    state, _ = gradtx.import_torch_state(ADAM, LINEAR, saved, linear, count=3)
    assert int(state[0].count) == 3


@pytest.mark.parametrize(
    ("where", "kind", "text"),
    [
        (lambda i: "weight", ValueError, r"place\(0\) is 'weight', expected the path of a parameter, such as 'b'"),
        (lambda i: "w" if i == 0 else "b", ValueError, r"mu/w' is float32 of shape \(2, 3\), expected .*transpose"),
        (lambda i: 7, TypeError, r"place\(0\) is int, expected a path such as"),
        (lambda i: ("w", 3), TypeError, r"place\(0\) is tuple of 2, expected a path"),
    ],
)
def test_a_wrong_place_is_named(where: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=rf"^import_torch_state: .*{text}"):
        gradtx.import_torch_state(ADAM, LINEAR, recorded(MOMENTS), where)


def test_what_no_transform_keeps_is_named() -> None:
    with pytest.raises(ValueError, match=r"holds what no transform keeps: 0/max_exp_avg_sq, 1/max_exp_avg_sq"):
        gradtx.import_torch_state(ADAM, LINEAR, recorded(MOMENTS | {"max_exp_avg_sq": 1.0}), linear)
    with pytest.raises(ValueError, match=r"holds what no transform keeps: 0/prev, 1/prev"):
        gradtx.import_torch_state(ADAM, LINEAR, recorded(MOMENTS | {"prev": 1.0}), linear)
    two = gradtx.chain(gradtx.scale_by_adam(), gradtx.scale_by_adam())
    with pytest.raises(ValueError, match=r"exp_avg of 0 fits scale_by_adam/mu/w and scale_by_adam#2/mu/w, exp"):
        gradtx.import_torch_state(two, LINEAR, recorded(MOMENTS), linear)


@pytest.mark.parametrize(
    ("saved", "text"),
    [
        ({"weight": 1, "bias": 2}, r"has the keys \['bias', 'weight'\], expected what optimizer.state_dict\(\) gives"),
        ([], "is list of 0, expected"),
    ],
)
def test_what_is_no_optimizer_is_refused(saved: Any, text: str) -> None:
    with pytest.raises(TypeError, match=f"^import_torch_state: state_dict {text}"):
        gradtx.import_torch_state(ADAM, LINEAR, saved, linear)
    with pytest.raises(TypeError, match=r"^import_torch_state: tx is int"):
        gradtx.import_torch_state(3, LINEAR, saved, linear)


def test_a_file_needs_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"^import_torch_state: state_dict is a file, expected torch to read it"):
        gradtx.import_torch_state(ADAM, LINEAR, "adam.pt", linear)
