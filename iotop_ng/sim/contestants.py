"""The policies that are compared: each is a file of rules, like one that an operator writes."""

from __future__ import annotations

from iotop_ng.policy.rule import Rules
from iotop_ng.policy.rules import parse_rules
from iotop_ng.sim.scenario import Scenario

_FIXED = """
[[guard]]
name = "{name}"
victim = {{ comm = "{victim}" }}
cap = "{cap}"
"""
_LATENCY_TARGET = """
[[guard]]
name = "{name}"
victim = {{ comm = "{victim}" }}
keep_fsync_p99 = "{target}us"
"""
# A quarter of the device is what it still does on a bad day.
_RULES = """
[[rule]]
name = "{name}"
victim = {{ comm = "{victim}" }}
writes_over = "{some}"
for = "500ms"
while_fsync_p99_over = "{target}us"
to = "{quarter}"
renew = true
"""
_DROP = """
[[rule]]
name = "{name}"
victim = {{ comm = "{victim}" }}
writes_over = "{some}"
for = "500ms"
while_fsync_p99_over = "{target}us"
do = "drop"
to = "{quarter}"
budget = "1T"
renew = true
"""

TEXTS = {
    "none": "",
    "fixed-50": _FIXED,
    "fixed-75": _FIXED,
    "latency_target": _LATENCY_TARGET,
    "rules": _RULES,
    "drop": _DROP,
}
DEFAULT = ("none", "fixed-50", "fixed-75", "latency_target", "rules")
"""What is compared unless asked otherwise: nothing that loses data."""


def text_of(policy: str, scenario: Scenario) -> str:
    """Return the rules of a contestant, made for the rates of a scenario."""
    rate = scenario.device.rate
    hogs = sum(writer.count for writer in scenario.writers if writer.is_hog)
    part = 50 if policy == "fixed-50" else 75
    return TEXTS[policy].format(
        name=policy,
        victim=scenario.victim.name,
        cap=rate * part // 100,
        target=scenario.victim.target_ns // 1000,
        some=rate * 3 // 10 // hogs,
        quarter=rate // 4 // hogs,
    )


def rules_of(policy: str, scenario: Scenario) -> Rules:
    """Return the parsed rules; none for the policy that does nothing."""
    text = text_of(policy, scenario)
    return parse_rules(text, policy) if text else Rules()
