//! Names that are made up, and the randomness for them as a value.

use crate::model::revision::SAFE_LETTERS;

/// The most characters of a made-up name, as the API server makes them.
const MAX_GENERATED: usize = 63;
const SUFFIX: usize = 5;

/// A source of random numbers: the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Makes a source; the caller takes the seed from where it is really random.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number (the SplitMix64 sequence).
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn letter(&mut self) -> char {
        let place = self.number() % SAFE_LETTERS.len() as u64;
        char::from(SAFE_LETTERS[usize::try_from(place).unwrap_or_default()])
    }
}

/// Makes up a name: the prefix, cut to 58 characters, and five random ones (RS01).
///
/// `is_taken` says which names are in use; with 27 letters there are 14 million for each prefix.
pub fn generated_name(
    prefix: &str,
    random: &mut Random,
    mut is_taken: impl FnMut(&str) -> bool,
) -> String {
    let cut = prefix.char_indices().nth(MAX_GENERATED - SUFFIX);
    let prefix = cut.map_or(prefix, |(end, _)| &prefix[..end]);
    loop {
        let suffix: String = (0..SUFFIX).map(|_| random.letter()).collect();
        let name = format!("{prefix}{suffix}");
        if !is_taken(&name) {
            return name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_name_ends_in_five_letters_that_make_no_words() {
        // RS01
        let mut random = Random::seeded(7);
        let name = generated_name("web-", &mut random, |_| false);
        let suffix = name.strip_prefix("web-").unwrap();
        assert_eq!(suffix.len(), 5);
        assert!(suffix.bytes().all(|letter| SAFE_LETTERS.contains(&letter)));
        let long = generated_name(&"a".repeat(70), &mut random, |_| false);
        assert_eq!(long.len(), 63);
    }

    #[test]
    fn a_name_in_use_is_not_made_up_again() {
        let first = generated_name("web-", &mut Random::seeded(7), |_| false);
        let second = generated_name("web-", &mut Random::seeded(7), |name| name == first);
        assert_ne!(first, second);
    }
}
