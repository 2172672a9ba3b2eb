//! The layout of descriptions, and the parts that `describe` and `rollout history` share.

mod container;
mod page;
mod template;
mod volumes;

pub(crate) use container::{ContainerFacts, write as write_container};
pub(crate) use page::Page;
pub(crate) use template::{template, write_template};
pub(crate) use volumes::{PodVolumes, write as write_volumes};
