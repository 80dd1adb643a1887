"""Rules by path: each leaf belongs to the first transform whose regular expression is found in its path."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import jax
import optax

from gradtx._core.contract.errors import describe, message, none_is_leaf
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import shown
from gradtx.rules import Transform, factory
from gradtx.wrappers.partition import Partition, grouped, listed


def readable_paths(tree: Any) -> list[str]:
    """Return the path of each leaf, None leaves included, as `mlp/0/w`: keys, indices and fields joined by slashes."""
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=none_is_leaf)[0]
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]


@dataclasses.dataclass(frozen=True, eq=False)
class ByPath(Partition):
    """Several transforms, each for the leaves whose paths its rule takes: the body of `by_path`.

    Attributes:
        patterns: the compiled rules by their text, in order.
    """

    patterns: tuple[tuple[str, re.Pattern[str]], ...] = ()

    def first(self, path: str) -> str | None:
        """Return the first rule that matches a path, None if there is none."""
        return next((text for text, pattern in self.patterns if pattern.search(path)), None)

    def labels(self, tree: Any, root: str) -> list[Any]:
        """Return the rule that takes each leaf.

        Raises:
            ValueError: no rule matches a leaf; at init, a rule takes no leaf.
        """
        names = readable_paths(tree)
        taken = [self.first(name) for name in names]
        leaves = jax.tree.leaves(tree, is_leaf=none_is_leaf)
        # a leaf that is None belongs to a transform outside: nobody has to take it
        lost = [name for name, rule, x in zip(names, taken, leaves, strict=True) if rule is None and x is not None]
        if lost:
            fix = "add a rule for them, or end with one that takes the rest: (r'', transform)"
            where = f"{root} {listed([repr(name) for name in lost])}"
            raise ValueError(message(self.name, where, "match no rule", "one rule for each path", fix))
        idle = [text for text, _ in self.patterns if text not in taken]
        if idle and names and root == "params":
            text = idle[0]
            covered = [name for name in names if dict(self.patterns)[text].search(name)]
            if covered:
                got = f"takes no leaf: earlier rules take {listed([repr(name) for name in covered])}"
                fix = "move it up, or remove it"
            else:
                got = f"matches none of the paths {listed([repr(name) for name in names])}"
                fix = "correct the regex, or remove the rule; paths are keys joined by '/', searched by re.search"
            raise ValueError(message(self.name, f"rule {text!r}", got, "a leaf for each rule", fix))
        return taken


@factory
def by_path(rules: Sequence[tuple[str | re.Pattern[str], optax.GradientTransformation]]) -> Transform:
    """Apply to each leaf the transform of the first rule whose regular expression is found in its path.

    u_t is what the transform of that rule makes of g_t. A path is the keys, indices and fields on the way to a leaf,
    joined by slashes: `params["mlp"][0]["w"]` is `mlp/0/w`, and a lone array is the empty path. A regex may stand
    anywhere in it (`re.search`): `^mlp/` is all below mlp, `/b$` every leaf called b, and the empty regex takes the
    rest. Each leaf belongs to one rule, and each rule has a leaf. `assigned` says beforehand which rule takes which.

    Units: those of each transform's update.
    Equivalent to: `partition` with the rules as labels.

    Args:
        rules: pairs (regex, transform), the regex a string or compiled, the transform gradtx's or optax's.

    State:
        inner_states: the text of each regex to the state of its transform, None in place of the leaves of the others.

    Raises:
        TypeError: rules are no pairs of a regex and a transform.
        ValueError: a regex that does not compile, or stands twice; at init, a rule that takes no leaf; at init or
            update, a leaf that no rule matches; at update, another's state.

    Cost: no array; that of the transforms.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.by_path([(r"^head/", gradtx.sgd(0.5)), (r"", gradtx.sgd(0.1))])
        >>> params = {"body": [{"w": jnp.array(1.0)}], "head": {"w": jnp.array(1.0)}}
        >>> gradtx.assigned(tx, params)
        {'body/0/w': '', 'head/w': '^head/'}
        >>> u, _ = tx.update(params, tx.init(params), params)
        >>> u["head"]["w"].item()
        -0.5
    """
    patterns: list[tuple[str, re.Pattern[str]]] = []
    transforms: dict[str, Any] = {}
    if not isinstance(rules, (list, tuple)):
        got, fix = f"is {describe(rules)}", "write [(regex, transform), ...]"
        raise TypeError(message("by_path", "rules", got, "a list of pairs", fix))
    for i, rule in enumerate(rules):
        where = f"rules[{i}]"
        if not (isinstance(rule, tuple) and len(rule) == 2 and isinstance(rule[0], (str, re.Pattern))):  # a pair
            fix = "write (r'^mlp/', transform)"
            raise TypeError(message("by_path", where, f"is {describe(rule)}", "a pair (regex, transform)", fix))
        try:
            pattern = re.compile(rule[0])
        except re.error as error:
            fix = f"correct it: {error}"
            raise ValueError(message("by_path", where, f"is {rule[0]!r}", "a regular expression", fix)) from None
        if pattern.pattern in transforms:
            got = f"has the regex {pattern.pattern!r} of an earlier rule"
            raise ValueError(message("by_path", where, got, "distinct rules", "remove one, or chain their transforms"))
        patterns.append((pattern.pattern, pattern))
        transforms[pattern.pattern] = rule[1]
    inside = grouped("by_path", transforms)
    text = ", ".join(f"({key!r}, {shown(tx)})" for key, tx in inside.items())
    return Transform.of(ByPath(inside, name="by_path", patterns=tuple(patterns)), Info({}, f"by_path([{text}])"))


def assigned(tx: Any, params: Any) -> dict[str, str | None]:
    """Return which rule of `by_path`, or which label of `partition`, takes each leaf; nothing is initialised.

    Args:
        tx: the transform that `by_path` or `partition` made.
        params: the parameters, or their shapes.

    Returns:
        Path to the text of the rule, None where no rule matches; or to the label. Paths are those that the rules see,
        such as `mlp/0/w`; a leaf that is None has none.

    Raises:
        TypeError: tx was made by another function.
        ValueError: labels that do not fit the params.

    Examples:
        >>> import gradtx
        >>> tx = gradtx.by_path([(r"/w$", gradtx.sgd(0.1)), (r"/b$", gradtx.sgd(0.2))])
        >>> gradtx.assigned(tx, {"mlp": [{"w": 0.0, "b": 0.0, "scale": 1.0}]})
        {'mlp/0/b': '/b$', 'mlp/0/scale': None, 'mlp/0/w': '/w$'}
    """
    body = getattr(tx, "body", None)
    if not isinstance(body, Partition):
        got, fix = f"is {getattr(tx, 'name', describe(tx))}", "give that transform itself"
        raise TypeError(message("assigned", "tx", got, "a transform of by_path or partition", fix))
    names = readable_paths(params)
    rules = [body.first(name) for name in names] if isinstance(body, ByPath) else body.labels(params, "params")
    leaves = jax.tree.leaves(params, is_leaf=none_is_leaf)
    return {name: rule for name, rule, x in zip(names, rules, leaves, strict=True) if x is not None}
