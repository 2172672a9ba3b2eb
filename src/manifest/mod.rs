//! Kubernetes manifests.

pub mod yaml {
    //! Stub.
    use serde::{Serialize, de::DeserializeOwned};
    /// x
    pub fn to_string<T: Serialize>(value: &T) -> crate::Result<String> {
        Ok(serde_yaml::to_string(value)?)
    }
    /// x
    pub fn from_str<T: DeserializeOwned>(text: &str) -> crate::Result<T> {
        Ok(serde_yaml::from_str(text)?)
    }
}
