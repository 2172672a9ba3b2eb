//! Seccomp profiles that users bring (`Localhost`), in the JSON that container runtimes read.

use serde::Deserialize;

use super::calls::number_of;
use super::{
    AT_LEAST, EQUAL, FilterStep, LOAD, NUMBER, RETURN, RETURN_ALLOW, RETURN_ERROR, SeccompFilter,
    begin, step,
};

const GREATER: u16 = 0x25;
const MASK: u16 = 0x54;
/// Where the arguments are, 8 bytes each.
const ARGUMENTS: u32 = 16;
/// The most instructions that the kernel takes.
const MOST: usize = 4096;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    syscalls: Vec<SyscallRule>,
}

/// What is done about some calls, if all of the tests of their arguments hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SyscallRule {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<ArgumentTest>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArgumentTest {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Where a comparison leads to.
#[derive(Debug, Clone, Copy)]
enum JumpTarget {
    Next,
    /// The end of this test, which holds.
    Pass,
    /// The end of the rule, which does not apply.
    Fail,
}

/// An instruction of a test: its code, its value, and where it leads to.
type Comparison = (u16, u32, JumpTarget, JumpTarget);

/// Compiles a profile. As runtimes do, it leaves out calls that this machine does not have, and
/// rules that say what the default says.
///
/// # Errors
///
/// Says what in it is not understood, or that it is too long.
pub(crate) fn compile(text: &str) -> Result<SeccompFilter, String> {
    let profile: Profile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let otherwise = answer(&profile.default_action, profile.default_errno_ret)?;
    let mut steps = begin();
    for rule in &profile.syscalls {
        let answer = answer(&rule.action, rule.errno_ret)?;
        let tests = rule.args.as_deref().unwrap_or_default();
        let tests: Vec<Vec<Comparison>> =
            tests.iter().map(comparisons).collect::<Result<_, _>>()?;
        if answer == otherwise {
            continue;
        }
        for number in rule.names.iter().filter_map(|name| number_of(name)) {
            steps.extend(instructions(number, &tests, answer));
        }
    }
    steps.push(step(RETURN, otherwise, (0, 0)));
    if steps.len() > MOST {
        let count = steps.len();
        return Err(format!("it takes {count} instructions, the kernel {MOST}"));
    }
    Ok(SeccompFilter(steps))
}

fn answer(action: &str, error: Option<u16>) -> Result<u32, String> {
    Ok(match action {
        "SCMP_ACT_ALLOW" => RETURN_ALLOW,
        "SCMP_ACT_ERRNO" => RETURN_ERROR | u32::from(error.unwrap_or(1)),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | u32::from(error.unwrap_or(1)),
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        other => return Err(format!("string {other} is not a valid action for seccomp")),
    })
}

/// Returns the instructions of a test, which compare the upper half of the argument first.
fn comparisons(test: &ArgumentTest) -> Result<Vec<Comparison>, String> {
    use JumpTarget::{Fail, Next, Pass};
    if test.index > 5 {
        return Err(format!("there is no argument {}", test.index));
    }
    let [low, high] = [0, 4].map(|half| (LOAD, ARGUMENTS + 8 * test.index + half, Next, Next));
    let [lower, upper] = halves(test.value);
    let bigger = (GREATER, upper, Pass, Next);
    let smaller = (GREATER, upper, Fail, Next);
    Ok(match test.op.as_str() {
        "SCMP_CMP_EQ" => vec![
            high,
            (EQUAL, upper, Next, Fail),
            low,
            (EQUAL, lower, Next, Fail),
        ],
        "SCMP_CMP_NE" => vec![
            high,
            (EQUAL, upper, Next, Pass),
            low,
            (EQUAL, lower, Fail, Next),
        ],
        op @ ("SCMP_CMP_GT" | "SCMP_CMP_GE") => {
            let code = if op.ends_with('T') { GREATER } else { AT_LEAST };
            let same = (EQUAL, upper, Next, Fail);
            vec![high, bigger, same, low, (code, lower, Next, Fail)]
        }
        op @ ("SCMP_CMP_LT" | "SCMP_CMP_LE") => {
            let code = if op.ends_with('T') { AT_LEAST } else { GREATER };
            let same = (EQUAL, upper, Next, Pass);
            vec![high, smaller, same, low, (code, lower, Fail, Next)]
        }
        "SCMP_CMP_MASKED_EQ" => {
            let [low_value, high_value] = halves(test.value_two);
            vec![
                high,
                (MASK, upper, Next, Next),
                (EQUAL, high_value, Next, Fail),
                low,
                (MASK, lower, Next, Next),
                (EQUAL, low_value, Next, Fail),
            ]
        }
        other => {
            return Err(format!(
                "string {other} is not a valid operator for seccomp"
            ));
        }
    })
}

fn halves(value: u64) -> [u32; 2] {
    [value, value >> 32].map(|half| u32::try_from(half & 0xffff_ffff).unwrap_or_default())
}

/// Returns the instructions of one call of a rule.
fn instructions(number: u32, tests: &[Vec<Comparison>], answer: u32) -> Vec<FilterStep> {
    let length: usize = tests.iter().map(Vec::len).sum();
    let distance = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    // A test that failed before has left an argument in the place of the number.
    let mut steps = vec![
        step(LOAD, NUMBER, (0, 0)),
        step(EQUAL, number, (0, distance(length + 1))),
    ];
    let end = steps.len() + length + 1;
    for test in tests {
        let over = steps.len() + test.len();
        for (code, value, yes, no) in test {
            let next = steps.len() + 1;
            let [yes, no] = [yes, no].map(|goal| match goal {
                JumpTarget::Next => 0,
                JumpTarget::Pass => distance(over - next),
                JumpTarget::Fail => distance(end - next),
            });
            steps.push(step(*code, *value, (yes, no)));
        }
    }
    steps.push(step(RETURN, answer, (0, 0)));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator, its two values, arguments that it holds for, and others.
    type ArgumentCase = (&'static str, [u64; 2], [&'static [u64]; 2]);

    /// Runs a filter as the kernel does, for a call of this machine.
    fn verdict(filter: &SeccompFilter, name: &str, arguments: [u64; 2]) -> u32 {
        let (mut at, mut held) = (0, 0);
        loop {
            let FilterStep {
                code,
                yes,
                no,
                value,
            } = filter.0[at];
            at += 1;
            let mut compare = |holds| at += usize::from(if holds { yes } else { no });
            match code {
                LOAD if value == NUMBER => held = number_of(name).unwrap(),
                LOAD if value >= ARGUMENTS => {
                    let place = value - ARGUMENTS;
                    let argument = arguments.get(place as usize / 8).copied();
                    held = halves(argument.unwrap_or_default())[place as usize % 8 / 4];
                }
                LOAD => held = super::super::ARCHITECTURE,
                MASK => held &= value,
                EQUAL => compare(held == value),
                GREATER => compare(held > value),
                AT_LEAST => compare(held >= value),
                _ => return value,
            }
        }
    }

    #[test]
    fn v63_rules_answer_the_calls_that_they_name() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdirat", "no_such_call", "mkdir"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["chdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS", "args": null},
            {"names": ["dup"], "action": "SCMP_ACT_LOG"}]}"#;
        let filter = compile(text).unwrap();
        let of = |name| verdict(&filter, name, [0, 0]);
        assert_eq!(of("mkdirat"), RETURN_ERROR | 1);
        assert_eq!(of("chdir"), RETURN_ERROR | 38);
        assert_eq!(of("kill"), 0x8000_0000);
        assert_eq!(of("dup"), 0x7ffc_0000);
        assert_eq!(of("read"), RETURN_ALLOW);
    }

    #[test]
    fn v63_arguments_are_compared_in_both_halves() {
        const BIG: u64 = 1 << 32;
        let cases: [ArgumentCase; 7] = [
            ("EQ", [BIG + 5, 0], [&[BIG + 5], &[5, BIG, BIG + 4]]),
            ("NE", [BIG + 5, 0], [&[5, BIG, 0], &[BIG + 5]]),
            ("GT", [BIG + 5, 0], [&[BIG + 6, 2 * BIG], &[BIG + 5, 9, 0]]),
            ("GE", [BIG + 5, 0], [&[BIG + 5, 2 * BIG], &[BIG + 4, 9]]),
            ("LT", [BIG + 5, 0], [&[BIG + 4, 9, 0], &[BIG + 5, 2 * BIG]]),
            ("LE", [BIG + 5, 0], [&[BIG + 5, 9], &[BIG + 6, 2 * BIG]]),
            ("MASKED_EQ", [BIG + 6, BIG + 2], [&[BIG + 3], &[BIG + 4, 2]]),
        ];
        for (op, [value, two], [held, other]) in cases {
            let text = format!(
                r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [
                    {{"index": 1, "value": {value}, "valueTwo": {two}, "op": "SCMP_CMP_{op}"}},
                    {{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}}]}},
                {{"names": ["write"], "action": "SCMP_ACT_ALLOW"}}]}}"#
            );
            let filter = compile(&text).unwrap();
            for argument in held {
                let of = |first| verdict(&filter, "read", [first, *argument]);
                assert_eq!(of(7), RETURN_ALLOW, "{op} {argument}");
                assert_eq!(
                    of(8),
                    RETURN_ERROR | 1,
                    "{op} {argument}: all tests must hold"
                );
            }
            for argument in other {
                let of = verdict(&filter, "read", [7, *argument]);
                assert_eq!(of, RETURN_ERROR | 1, "{op} {argument}");
            }
            assert_eq!(verdict(&filter, "write", [0, 0]), RETURN_ALLOW);
        }
    }

    #[test]
    fn v63_what_is_not_understood_is_said() {
        let cases = [
            ("{", "EOF while parsing"),
            ("{}", "missing field `defaultAction`"),
            (
                r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#,
                "not a valid action",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"],
                "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "IS"}]}]}"#,
                "string IS is not a valid operator",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"],
                "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
                "there is no argument 6",
            ),
        ];
        for (text, fault) in cases {
            let found = compile(text).unwrap_err();
            assert!(found.contains(fault), "{text}: {found}");
        }
    }
}
