//! The wish that one pet be replaced, as the state directory keeps it.

use std::fmt;

/// Which pet is to be replaced, and how long it may take to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Eviction {
    /// The pet's uid: the one that comes after it stays.
    pub(crate) uid: String,
    /// Seconds that it has to end; nothing where its own grace period holds.
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
