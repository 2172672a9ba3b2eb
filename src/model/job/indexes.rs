//! Sets of indexes as a Job's status writes them (JB26).

use std::fmt;

use crate::sorted::SortedSet;

/// A set of indexes; written sorted, three or more in a row as `2-5`, two as `2,3`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes(SortedSet<u32>);

impl Indexes {
    /// Reads a list; what is `limit` or more is left out, and so is what cannot be read.
    #[must_use]
    pub fn read(text: &str, limit: u32) -> Self {
        let stretches = text.split(',').filter_map(|stretch| {
            let (first, last) = stretch.split_once('-').unwrap_or((stretch, stretch));
            Some((first.parse::<u32>().ok()?, last.parse::<u32>().ok()?))
        });
        let limited = stretches.filter(|(first, _)| *first < limit);
        Self(
            limited
                .flat_map(|(first, last)| first..=last.min(limit - 1))
                .collect(),
        )
    }

    /// Returns whether an index is in the set.
    #[must_use]
    pub fn has(&self, index: u32) -> bool {
        self.0.contains(&index)
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, index: u32) {
        self.0.insert(index);
    }

    pub(super) fn has_all(&self, others: &Self) -> bool {
        others.0.is_subset(&self.0)
    }

    pub(super) fn common(&self, others: &Self) -> usize {
        self.0.intersection(&others.0).count()
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stretches: Vec<(u32, u32)> = Vec::new();
        for index in &self.0 {
            match stretches.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => stretches.push((*index, *index)),
            }
        }
        for (place, (first, last)) in stretches.into_iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_written_in_stretches() {
        // JB26
        for (read, written) in [
            ("", ""),
            ("0", "0"),
            ("0,2", "0,2"),
            ("2,3", "2,3"),
            ("0,1,2,3", "0-3"),
            ("1-4", "1-4"),
            ("7,0-1,x", "0,1,7"),
            ("0-99", "0-9"),
        ] {
            assert_eq!(Indexes::read(read, 10).to_string(), written, "{read}");
        }
    }
}
