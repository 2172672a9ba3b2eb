//! `wanted/<ns>/eviction/<pod>.yaml`: the request to replace a pet.

use std::fmt;

/// A request to replace a pet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Eviction {
    /// The pet's uid: its successor of the same name is not replaced.
    pub(crate) uid: String,
    /// The grace period in seconds; `None` for the pet's own.
    pub(crate) grace: Option<i64>,
}

impl Eviction {
    pub(super) fn read(text: &str) -> Self {
        let (uid, grace) = text.split_once(' ').unwrap_or((text, ""));
        Self {
            uid: uid.trim().to_owned(),
            grace: grace.trim().parse().ok(),
        }
    }
}

impl fmt::Display for Eviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uid)?;
        self.grace.map_or(Ok(()), |grace| write!(f, " {grace}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Eviction;

    #[test]
    fn what_is_written_is_read() {
        for grace in [None, Some(0), Some(30)] {
            let uid = "0a1b-2c".to_owned();
            let eviction = Eviction { uid, grace };
            assert_eq!(Eviction::read(&eviction.to_string()), eviction);
        }
    }
}
