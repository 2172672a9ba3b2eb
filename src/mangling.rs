//! Inputs for whatever reads bytes of others: valid examples that are cut, spliced and scribbled
//! over. Only for tests.
//!
//! `PETSET_FUZZ_INPUTS` is how many inputs each target gets, and `PETSET_TEST_SEED` repeats a run.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What parsers stumble over: ends of ranges, and what begins and ends things.
const PIECES: [&[u8]; 18] = [
    b"",
    b"\0",
    b"\xff",
    b"\x80",
    b"\xc0\x0c",
    b"\n",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"-1",
    b"99999999999999999999",
    b"1e999",
    b"null",
    b"\xe2\x82\xac",
];

/// Random numbers that a seed brings back.
struct Numbers(u64);

impl Numbers {
    /// A number below the limit, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

/// Reads many mangled inputs, about as many as given unless the environment names a number. Where
/// `read` panics, the input is printed.
pub(crate) fn read_mangled(
    target: &str,
    few: u64,
    examples: &[&[u8]],
    read: &mut dyn FnMut(&[u8]),
) {
    let number = |name| {
        env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let inputs = number("PETSET_FUZZ_INPUTS").unwrap_or(few);
    let seed = number("PETSET_TEST_SEED").unwrap_or(u64::from(std::process::id()) * 7919);
    println!("{target}: {inputs} inputs, PETSET_TEST_SEED={seed}");
    let mut numbers = Numbers(seed | 1);
    let mut input = Vec::new();
    for _ in 0..inputs {
        mangle(&mut input, examples, &mut numbers);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| read(&input))) {
            println!("{target} panics at {:?}", String::from_utf8_lossy(&input));
            println!("bytes: {input:?}");
            resume_unwind(panic);
        }
    }
}

/// Makes the next input out of an example.
fn mangle(input: &mut Vec<u8>, examples: &[&[u8]], numbers: &mut Numbers) {
    input.clear();
    input.extend(examples[numbers.below(examples.len())]);
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        let end = (at + numbers.below(12)).min(input.len());
        match numbers.below(7) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => drop(input.splice(at..end, PIECES[numbers.below(PIECES.len())].iter().copied())),
            3 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            4 => {
                let other = examples[numbers.below(examples.len())];
                let from = numbers.below(other.len() + 1);
                let part = &other[from..(from + numbers.below(60)).min(other.len())];
                input.splice(at..end, part.iter().copied());
            }
            5 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            _ if at < input.len() => input[at] = numbers.below(256) as u8,
            _ => input.push(numbers.below(256) as u8),
        }
    }
}
