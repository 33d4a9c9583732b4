"""What a file of rules says, and how its mistakes are told."""

from __future__ import annotations

import pytest

from iotop_ng.policy.rule import Deed, Scope
from iotop_ng.policy.rules import parse_rules
from iotop_ng.policy.tables import TableError


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(TableError) as caught:
        parse_rules(text, "f.toml")
    return [(problem.line, problem.text) for problem in caught.value.problems]


def test_a_rule_says_what_it_says() -> None:
    rules = parse_rules(
        """
[protect]
programs = "postgres"
[[rule]]
name = "logs"
match = { comm = ["log-*", "dd"], user = "app" }
writes_over = "50MB/s"
for = "1.5s"
while_fsync_p99_over = "100ms"
to = "20%"
lease = "2m"
renew = true
scope = "cgroup"
"""
    )
    (rule,) = rules.rules

    assert rules.programs == ("postgres",)
    assert (rule.writes_over, rule.for_ns) == (50_000_000, 1_500_000_000)
    assert (rule.fsync_over_ns, rule.to, rule.to_pct) == (100_000_000, 0, 20)
    assert (rule.lease_ns, rule.renew, rule.scope) == (120_000_000_000, True, Scope.CGROUP)
    assert (rule.deed, rule.match.comm) == (Deed.THROTTLE, ("log-*", "dd"))


def test_all_mistakes_are_told_at_once_with_their_lines() -> None:
    found = problems(
        """max_target = 3
[[rule]]
name = "a"
writes_ovr = "5M"
writes_over = "3s"
to = "5X"
match = { comn = "x" }
[[guard]]
name = "a"
keep_fsync_p99 = "20M"
"""
    )

    assert [line for line, _ in found] == [1, 4, 5, 6, 7, 9, 10]
    assert "max_targets" in found[0][1]
    assert "did you mean 'writes_over'?" in found[1][1]
    assert "not a time" in found[2][1]
    assert "did you mean 'comm'?" in found[4][1]
    assert "another rule or guard is called 'a' too" in found[5][1]
    assert "a time in quotes" in found[6][1]


RULE = '[[rule]]\nname = "r"\nwrites_over = "5M"\n'
GUARD = '[[guard]]\nname = "g"\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 0, "no [[rule]] and no [[guard]]"),
        (RULE, 1, "to is missing"),
        (RULE + 'to = "5M"', 4, "not below writes_over"),
        (RULE + 'to = "0"', 4, "more than 0"),
        (RULE + 'to = "-1"', 4, "expected a number"),
        (RULE + 'to = "1e99"', 4, "expected a number"),
        (RULE + "to = 5", 4, "in quotes"),
        (RULE + 'to = "100%"', 4, "1% to 99%"),
        (RULE + 'to = "1M"\ndo = "drop"', 1, "needs a budget"),
        (RULE + 'to = "1M"\nbudget = "1G"', 5, "without do"),
        (RULE + 'to = "1M"\ndo = "thottle"', 5, "did you mean 'throttle'?"),
        (RULE + 'to = "1M"\ndo = "notify"', 4, "no meaning"),
        (RULE + 'to = "1M"\nlease = "1s"', 5, "5s or more"),
        (RULE + 'to = "1M"\nvictim = { comm = "x" }', 5, "no meaning without"),
        (RULE + 'do = "notify"\nrenew = true', 5, "no meaning"),
        (RULE + 'do = "notify"\nlease = "9s"', 5, "no meaning"),
        (
            RULE + 'to = "1M"\nmatch = {comm="x"}\nvictim = {comm="x"}\n'
            'while_fsync_p99_over = "1s"',
            5,
            "the same",
        ),
        (
            RULE + 'to = "1M"\nmatch = { comm = "x" }\n[protect]\nprograms = ["x", "y"]',
            5,
            "it would do nothing",
        ),
        ("max_actions_per_minute = 0\n" + GUARD + 'cap = "1M"', 1, "whole number, 1 to 6000"),
        (RULE + 'to = "1M"\nmatch = {}', 5, "expected a table"),
        (GUARD, 1, "either keep_fsync_p99 or cap"),
        (GUARD + 'cap = "5M"\nkeep_fsync_p99 = "5ms"', 1, "not both"),
        (GUARD + 'keep_fsync_p99 = "0s"', 3, "more than 0"),
        (GUARD + 'keep_fsync_p99 = "5ms"\ncapacity = "1M"\nfloor = "2M"', 5, "not below capacity"),
        (GUARD + 'cap = "5M"\nfloor = "1M"', 4, "no meaning with a fixed cap"),
        (GUARD + 'cap = "5M"\nvictim={comm="x"}\nhogs={comm="x"}', 5, "the same"),
        ('[protect]\ncgroups = "system.slice"\n' + GUARD + 'cap = "1M"', 2, "path of a cgroup"),
        ("rule = 3\n", 1, "list of tables"),
        ("[[rul]]\n", 1, "did you mean 'rule'?"),
        ("= 3", 1, "Invalid"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, words: str) -> None:
    found = problems(text)

    assert any(at == line and words in said for at, said in found), found


def test_the_message_is_one_line_and_names_file_and_line() -> None:
    with pytest.raises(TableError, match=r"^f\.toml:4: to: .*") as caught:
        parse_rules(RULE + 'to = "5X\x1b"'.replace("\x1b", "\\u001b"), "f.toml")

    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()
