"""The clock of a row of rules: counts, events, memories and the scalars of the step, once for the whole tree."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.ranges import Event
from gradtx._core.arguments.reading import as_argument, check_same, is_live, read
from gradtx._core.arrays.numerics import increment, scalar_dtype
from gradtx._core.arrays.tree import check_slots
from gradtx._core.contract.errors import message
from gradtx._core.contract.state import LeafState
from gradtx._core.engine.kernel import freeze
from gradtx._core.engine.rule import Rule, Tree


class Clock:
    """The scalars of each step of a row of rules.

    Attributes:
        rules: (name in errors, rule) in order.
        arguments: the extra arguments of `update` that each needs, by its name.
        outside: the hyperparameters that are read outside everything compiled: (rule, name, name in errors, value).
        is_ours: whether all functions are gradtx's, so that they may be compiled once for good.
    """

    def __init__(self, rules: Sequence[tuple[str, Rule]]) -> None:
        """Read what the rules need."""
        self.rules = rules
        self.arguments: dict[str, tuple[str, ...]] = {name: rule.extra for name, rule in rules if rule.extra}
        events = [(name, event_of(rule)) for name, rule in rules]
        for name, event in events:
            if event is not None:
                self.arguments[name] = (*self.arguments.get(name, ()), event.argument)
        self.outside = [
            (i, key, f"{name}: {key.split('.')[-1]}", hyper)
            for i, (name, rule) in enumerate(rules)
            for key, hyper in rule.hyper.items()
            if as_argument(hyper)
        ]
        live = any(event is not None and is_live(event) for _, event in events)
        self.is_ours = all(rule.is_ours for _, rule in rules) and not live

    def given(self, states: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the hyperparameters of each rule that are arrays or live functions, read at its count.

        They are read outside everything compiled: an array is then found by whoever looks for it, and a function gives
        what it gives now.
        """
        found: list[dict[str, Any]] = [{} for _ in self.rules]
        for i, key, where, hyper in self.outside:
            check_slots(self.rules[i][0], states[i], LeafState, self.rules[i][1].slots)
            found[i][key] = read(hyper, states[i].count, None, where)
        return found

    def measurements(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Return the extra arguments that event schedules wait for and rules need.

        Raises:
            ValueError: one is missing, or is a number that differs between the devices of a `shard_map`.
        """
        found = {}
        for name, arguments in self.arguments.items():
            for argument in arguments:
                if argument not in extra:
                    call = f"update(grads, state, params, {argument}=...)"
                    raise ValueError(f"{name}: extra argument {argument} is missing, expected a number; call {call}")
                found[argument] = extra[argument]
                if getattr(extra[argument], "shape", None) == ():
                    check_same(name, argument, extra[argument])
        return found

    def tick(
        self, counts: list[Any], events: list[Any], memories: list[Any], given: list[Any], extra: Any, seen: Any
    ) -> tuple[Any, ...]:
        """Return the next counts, events and memories, and the scalars of the step for each rule."""
        ks: list[Any] = []
        events, memories = list(events), list(memories)
        for i, ((_, rule), count) in enumerate(zip(self.rules, counts, strict=True)):
            event = event_of(rule)
            if event is not None:
                now = (events[i] < 0) & event.happened(jnp.asarray(extra[event.argument]))
                events[i] = jnp.where(now, count, events[i])
            k = rule.at(count, events[i], given[i])
            if rule.whole_tree is not None:
                own = {name: extra[name] for name in rule.extra}
                leaves = seen if rule.looks else {"grads": [], "params": [], "slots": {}}
                tree = Tree(**leaves, memory=memories[i], count=count, extra=own)
                more, new = rule.whole_tree(SimpleNamespace(**k), tree)
                k |= more
                memories[i] = remembered(rule, memories[i], new)
            ks.append(freeze(k))
        return [increment(count) for count in counts], events, memories, ks


def event_of(rule: Rule) -> Event | None:
    """Return the event schedule of a rule, None where it has none."""
    hyper = rule.hyper.get(rule.event or "")
    return hyper if isinstance(hyper, Event) else None


def start_of(value: Any) -> jax.Array:
    """Return what a tree remembers at first: integers as they are, numbers in the dtype of the scalars.

    It is a copy, since a state may be donated.
    """
    integers = jnp.issubdtype(getattr(value, "dtype", float), jnp.integer)
    return jnp.array(value) if integers else jnp.array(value, scalar_dtype())


def remembered(rule: Rule, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the next memory in the dtypes of the old one.

    Raises:
        ValueError: it has other names than those declared.
    """
    if set(new) != set(rule.memory):
        got, fix = f"returned the memory {sorted(new)}", "return each declared scalar, new or as it was"
        raise ValueError(message(rule.name, "whole_tree", got, f"{sorted(rule.memory)} as declared", fix))
    return {name: jnp.asarray(new[name], old[name].dtype) for name in old}
