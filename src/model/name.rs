//! Names that are valid once they exist: they follow Kubernetes' rules and are safe as paths.
//!
//! Parse once at the edge. A name that came through here never holds a slash, a dot-dot or an
//! upper-case letter, so it may become part of a path, a DNS name or an environment variable.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::problem::{Kind, Problem};

/// The longest DNS label (RFC 1123).
pub const MAX_LABEL: usize = 63;
/// The longest set name whose pods still get their revision label (R24, C33).
pub const MAX_SET_NAME: usize = 52;
/// The most pets one set may ask for; beyond it a state directory's address block is used up.
pub const MAX_REPLICAS: u32 = 10_000;

const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
     characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  \
     or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
     alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character \
     (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Returns why `text` is not a DNS label, in the API server's words.
#[must_use]
pub fn label_fault(text: &str) -> Option<String> {
    if text.len() > MAX_LABEL {
        return Some(format!("must be no more than {MAX_LABEL} characters"));
    }
    (!is_label(text)).then(|| LABEL_RULE.to_owned())
}

/// Returns why `text` is not a DNS subdomain, in the API server's words.
#[must_use]
pub fn subdomain_fault(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some("must be no more than 253 characters".to_owned());
    }
    (!text.split('.').all(is_label)).then(|| SUBDOMAIN_RULE.to_owned())
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<&u8>| byte.copied().is_some_and(inner);
    let bytes = text.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|&byte| inner(byte) || byte == b'-')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $fault:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Problem;

            fn from_str(text: &str) -> Result<Self, Problem> {
                match $fault(text) {
                    None => Ok(Self(text.to_owned())),
                    Some(fault) => {
                        Err(Problem::invalid(format!("{text:?} is not the name of a {}: {fault}", $what)))
                    }
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Problem;

            fn try_from(text: String) -> Result<Self, Problem> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// A namespace: a DNS label. `default` where none is given.
    Namespace, "namespace", label_fault
);
name!(
    /// The name of a set: a DNS label, because it becomes part of every pet's host name.
    SetName, "set", label_fault
);
name!(
    /// The name of any other object (service, config map, secret, claim, pod): a DNS subdomain.
    ObjectName, "object", subdomain_fault
);

impl Default for Namespace {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// The number that makes a pet itself: `web-2` has ordinal 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ordinal(pub u32);

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name a pet keeps for life: its set, a dash, and its ordinal (C01).
///
/// A set name may itself contain dashes, so the ordinal is what follows the last one:
///
/// ```
/// let pet: petset::model::PetName = "blue-db-2".parse()?;
/// assert_eq!((pet.set().as_str(), pet.ordinal().0), ("blue-db", 2));
/// # Ok::<(), petset::Problem>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PetName {
    set: SetName,
    ordinal: Ordinal,
}

impl PetName {
    /// Names the pet of `set` with this ordinal.
    #[must_use]
    pub const fn new(set: SetName, ordinal: Ordinal) -> Self {
        Self { set, ordinal }
    }

    /// Returns the set's name.
    #[must_use]
    pub const fn set(&self) -> &SetName {
        &self.set
    }

    /// Returns the ordinal.
    #[must_use]
    pub const fn ordinal(&self) -> Ordinal {
        self.ordinal
    }
}

impl FromStr for PetName {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let fault = || {
            let wants = "a pet is named <set>-<ordinal>, such as web-0";
            Problem::invalid(format!("{text:?} is not the name of a pet: {wants}"))
        };
        let (set, ordinal) = text.rsplit_once('-').ok_or_else(fault)?;
        let canonical = ordinal == "0" || !ordinal.starts_with(['0', '+']);
        let ordinal = ordinal
            .parse()
            .ok()
            .filter(|_| canonical)
            .ok_or_else(fault)?;
        Ok(Self::new(
            set.parse().map_err(|_| fault())?,
            Ordinal(ordinal),
        ))
    }
}

impl fmt::Display for PetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.set, self.ordinal))
    }
}

/// An object's namespace and name, written as `default/web`: what Kubernetes calls a
/// NamespacedName. The kind is known from where it is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The namespace, `default` for an object that names none.
    pub namespace: Namespace,
    /// The name within the namespace.
    pub name: ObjectName,
}

impl ObjectRef {
    /// Names the object `name` of `namespace`.
    #[must_use]
    pub const fn new(namespace: Namespace, name: ObjectName) -> Self {
        Self { namespace, name }
    }

    /// Names the object that has these metadata.
    ///
    /// # Errors
    ///
    /// A name or namespace that Kubernetes' rules do not allow is [`Kind::Invalid`].
    pub fn of(meta: &ObjectMeta) -> Result<Self, Problem> {
        let fault = |problem: Problem| Problem::new(Kind::Invalid, problem.message);
        let namespace = meta.namespace.as_deref();
        let namespace = namespace
            .map_or_else(|| Ok(Namespace::default()), str::parse)
            .map_err(fault)?;
        let name = meta.name.as_deref().unwrap_or_default();
        Ok(Self::new(namespace, name.parse().map_err(fault)?))
    }

    /// Names the set that a pet of this name belongs to, or would belong to (C01).
    ///
    /// ```
    /// use petset::model::{Namespace, ObjectRef};
    /// let pet = ObjectRef::new(Namespace::default(), "blue-db-2".parse()?);
    /// assert_eq!(pet.set_by_name().to_string(), "default/blue-db");
    /// # Ok::<(), petset::Problem>(())
    /// ```
    #[must_use]
    pub fn set_by_name(&self) -> Self {
        let set = self.name.as_str().rsplit_once('-');
        let set = set.and_then(|(set, _)| set.parse().ok());
        Self::new(
            self.namespace.clone(),
            set.unwrap_or_else(|| self.name.clone()),
        )
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.namespace, self.name))
    }
}

/// Returns the name of the claim that a template makes for a pet: `data-web-0` (C02).
#[must_use]
pub fn claim_name(template: &str, set: &str, ordinal: Ordinal) -> String {
    format!("{template}-{set}-{ordinal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_state_directory_are_refused() {
        for bad in [
            "", ".", "..", "../x", "a/b", "Web", "a_b", "-a", "a-", "a b", "a\0b",
        ] {
            assert!(bad.parse::<SetName>().is_err(), "{bad:?}");
            assert!(bad.parse::<ObjectName>().is_err(), "{bad:?}");
        }
        assert!("a.b".parse::<SetName>().is_err());
        assert!("a.b".parse::<ObjectName>().is_ok());
    }

    #[test]
    fn a_pets_ordinal_follows_the_last_dash() {
        let pet: PetName = "a-1-2".parse().unwrap();
        assert_eq!((pet.set().as_str(), pet.ordinal().0), ("a-1", 2));
        for bad in ["web", "web-", "web-01", "web-+1", "-1", "web-99999999999"] {
            assert!(bad.parse::<PetName>().is_err(), "{bad:?}");
        }
    }
}
