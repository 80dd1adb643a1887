"""Where a transform applies: each leaf held to the reference of the transform that it belongs to."""

from typing import Any

import numpy as np

from tests.registry.adam import adam, adamw
from tests.registry.base import FUSED, Mutant, Row, row
from tests.registry.numbers import Tree
from tests.registry.sgd import sgd


def matrices(params: Any) -> Any:
    """Return a mask as a user writes it: True for arrays of two dimensions and more."""
    import jax

    return jax.tree.map(lambda p: len(p.shape) > 1, params)


def vectors(params: Any) -> Any:
    """Return a mask that is True for arrays of one dimension or none."""
    import jax

    return jax.tree.map(lambda p: len(p.shape) < 2, params)


def kinds(params: Any) -> Any:
    """Return labels as a user writes them."""
    import jax

    return jax.tree.map(lambda p: "matrix" if len(p.shape) > 1 else "rest", params)


def split(made: list[Tree], others: list[Tree]) -> list[Tree]:
    """Return the updates of matrices by one method, of what else there is by another."""
    pairs = zip(made, others, strict=True)
    return [{name: (u if u[name].ndim > 1 else v)[name] for name in u} for u, v in pairs]


def zeros(grads: list[Tree]) -> list[Tree]:
    """Return updates of 0."""
    return [{name: np.zeros_like(x) for name, x in g.items()} for g in grads]


def masked(grads: list[Tree], params: Tree) -> list[Tree]:
    """AdamW where the mask is True, the gradient elsewhere."""
    made: list[Tree] = []
    for name in params:
        alone = [{name: g[name]} for g in grads]
        own = adamw(alone, {name: params[name]}, learning_rate=0.1) if params[name].ndim < 2 else alone
        made = [{**before, **u} for before, u in zip(made or [{}] * len(own), own, strict=True)]
    return made


def divided(grads: list[Tree], params: Tree) -> list[Tree]:
    """Adam for matrices, momentum for the rest."""
    return split(adam(grads, params, learning_rate=0.1), sgd(grads, params, learning_rate=0.2, momentum=0.9))


def plainly(grads: list[Tree], params: Tree) -> list[Tree]:
    """Adam for matrices, plain descent for the rest."""
    return split(adam(grads, params, learning_rate=0.1), sgd(grads, params, learning_rate=0.2))


def selective(grads: list[Tree], params: Tree) -> list[Tree]:
    """AdamW for what is no matrix, 0 for matrices."""
    return split(zeros(grads), adamw(grads, params, learning_rate=0.1))


def frozen(grads: list[Tree], params: Tree) -> list[Tree]:
    """Return the gradient, 0 for matrices."""
    del params
    return split(zeros(grads), grads)


def make_masked(library: Any) -> Any:
    """Return AdamW for what is no matrix."""
    return library.masked(library.adamw(0.1), vectors)


def make_partition(library: Any) -> Any:
    """Return Adam for matrices, momentum for the rest."""
    return library.partition({"matrix": library.adam(0.1), "rest": library.sgd(0.2, 0.9)}, kinds)


def make_multi_transform(library: Any) -> Any:
    """Return Adam for matrices, plain descent for the rest, by the other name."""
    return library.multi_transform({"matrix": library.adam(0.1), "rest": library.sgd(0.2)}, kinds)


def make_selective(library: Any) -> Any:
    """Return AdamW for what is no matrix."""
    return library.selective_transform(library.adamw(0.1), freeze_mask=matrices)


def by_name(library: Any) -> Any:
    """Return momentum for every leaf, by a rule that takes all."""
    return library.by_path([(r"", library.sgd(0.1, 0.9))])


def momentum(grads: list[Tree], params: Tree) -> list[Tree]:
    """Momentum."""
    return sgd(grads, params, learning_rate=0.1, momentum=0.9)


WRAPPER = {"kind": "wrapper", "fused": FUSED}
ROWS = [
    Row("masked", maker=make_masked, reference=masked, around=lambda library, tx: library.masked(tx, True), **WRAPPER),
    Row(
        "partition",
        maker=make_partition,
        reference=divided,
        around=lambda library, tx: library.partition({"all": tx}, "all"),
        **WRAPPER,
    ),
    Row("multi_transform", maker=make_multi_transform, reference=plainly, alone="it is partition", **WRAPPER),
    Row(
        "by_path",
        maker=by_name,
        reference=momentum,
        around=lambda library, tx: library.by_path([(r"", tx)]),
        **WRAPPER,
    ),
    Row(
        "selective_transform",
        maker=make_selective,
        reference=selective,
        around=lambda library, tx: library.selective_transform(tx, freeze_mask=False),
        sparse=True,
        **WRAPPER,
    ),
    row(
        "freeze",
        traits={"reference": lambda grads, params, mask: frozen(grads, params), "sparse": True, "power": 1},
        mask=matrices,
    ),
]


def own(name: str) -> tuple[str, ...]:
    """Return this test of where a transform applies."""
    return (f"test_where.py::test_{name}",)


def reference(name: str) -> tuple[str, ...]:
    """Return the test of this row against its reference."""
    return (f"batteries/test_reference.py::test_row[{name}-float64]",)


MASKED, PARTITION, BY_PATH = "wrappers/masked.py", "wrappers/partition.py", "wrappers/by_path.py"
MUTANTS = [
    Mutant(
        "masked: the inverted mask",
        MASKED,
        "return [on == self.wanted",
        "return [on != self.wanted",
        reference("masked"),
    ),
    Mutant(
        "masked: state for all",
        MASKED,
        'self.mine(params, "params")',
        "[True] * len(leaves)",
        own("what_is_left_out_has_no_state"),
    ),
    Mutant("masked: frozen leaves pass", MASKED, "if self.freezes:", "if False:", reference("selective_transform")),
    Mutant(
        "masked: extra arguments whole",
        MASKED,
        "params, extra, self.divides)",
        "params, extra, False)",
        own("extra_arguments_are_masked_on_request"),
    ),
    Mutant("masked: all pass", MASKED, "[u if own else r", "[r if own else r", reference("masked")),
    Mutant(
        "selective: trains what it freezes",
        "wrappers/freeze.py",
        "wanted=False, ",
        "",
        reference("selective_transform"),
    ),
    Mutant(
        "freeze: passes",
        "wrappers/freeze.py",
        "return jnp.zeros_like(g), slots",
        "return g, slots",
        reference("freeze"),
    ),
    Mutant(
        "partition: one for all",
        PARTITION,
        "[u if own else g for",
        "[u for",
        own("each_transform_owns_its_leaves_once"),
    ),
    Mutant(
        "partition: every state for all",
        PARTITION,
        "[label == key for label in labels])",
        "[True for label in labels])",
        own("what_is_left_out_has_no_state"),
    ),
    Mutant(
        "partition: unknown labels pass",
        PARTITION,
        "label not in self.transforms:",
        "label == 0:",
        own("a_label_without_a_transform_is_an_error"),
    ),
    Mutant(
        "by_path: the last rule wins",
        BY_PATH,
        "next((text for text, pattern in self.patterns if",
        "next((text for text, pattern in self.patterns[::-1] if",
        own("the_first_rule_decides"),
    ),
    Mutant(
        "by_path: from the start alone",
        BY_PATH,
        "if pattern.search(path)",
        "if pattern.match(path)",
        own("the_first_rule_decides"),
    ),
    Mutant(
        "view: others see what is masked",
        "_core/engine/subset.py",
        "[u if own else g for g",
        "[u for g",
        own("a_watch_sees_through"),
    ),
]
