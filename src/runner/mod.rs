//! One pet: its volumes, processes, probes and hooks.

pub(crate) mod volumes;

#[derive(serde::Serialize)]
pub(crate) enum Control {
    Stop { grace_seconds: Option<u64> },
}
pub(crate) fn start(
    layout: &crate::store::Layout,
    ns: &crate::model::Namespace,
    pod: &str,
) -> std::io::Result<std::process::Child> {
    let _ = (layout, ns, pod);
    Err(std::io::Error::other("stub"))
}
pub(crate) fn tell(files: &crate::store::PetLayout, c: &Control) -> std::io::Result<()> {
    let _ = (files, c);
    Ok(())
}
