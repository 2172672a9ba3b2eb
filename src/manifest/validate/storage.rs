//! Volumes and their classes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, PersistentVolume, PersistentVolumeSpec,
    VolumeNodeAffinity,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;
use serde_json::json;

use super::super::fault::Faults;
use super::mounts::no_backsteps;
use super::names::{self, label_value, note, note_required, qualified, subdomain};
use super::objects::access_modes;
use super::volume::host_path;
use crate::model::quantity::Quantity;

const MOST_PARAMETERS: usize = 512;
const LONGEST_PARAMETERS: usize = 256 * 1024;

/// Checks a completed volume.
pub(crate) fn validate_volume(volume: &PersistentVolume) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &volume.metadata, subdomain);
    check(&mut faults, &volume.spec.clone().unwrap_or_default());
    faults
}

fn check(faults: &mut Faults, spec: &PersistentVolumeSpec) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        faults.required("spec.accessModes", "");
    }
    access_modes(faults, "spec.accessModes", modes);
    capacity(faults, spec.capacity.as_ref());
    let policies = ["Delete", "Recycle", "Retain"];
    let policy = spec.persistent_volume_reclaim_policy.as_deref();
    let policy = policy.unwrap_or_default();
    let at = "spec.persistentVolumeReclaimPolicy";
    if !policies.contains(&policy) {
        faults.unsupported(at, policy, &policies);
    }
    if let Some(affinity) = &spec.node_affinity {
        node_affinity(faults, affinity);
    }
    source(faults, spec);
    let root =
        |path: &str| path.starts_with('/') && path.split('/').all(|it| it.is_empty() || it == ".");
    if policy == "Recycle" && spec.host_path.as_ref().is_some_and(|host| root(&host.path)) {
        faults.forbidden(at, "may not be 'recycle' for a hostPath mount of '/'");
    }
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    if !class.is_empty() {
        note(faults, "spec.storageClassName", class, subdomain(class));
    }
    let modes = ["Block", "Filesystem"];
    if let Some(mode) = spec.volume_mode.as_deref().filter(|it| !modes.contains(it)) {
        faults.unsupported("spec.volumeMode", mode, &modes);
    }
    if let Some(class) = spec.volume_attributes_class_name.as_deref() {
        let path = "spec.volumeAttributesClassName";
        match class {
            "" => faults.required(path, "an empty string is disallowed"),
            class => note(faults, path, class, subdomain(class)),
        }
        if spec.csi.is_none() {
            let detail = "has to be specified when using volumeAttributesClassName";
            faults.required("spec.csi", detail);
        }
    }
}

fn capacity(faults: &mut Faults, given: Option<&BTreeMap<String, Amount>>) {
    let path = "spec.capacity";
    let given = given.filter(|given| !given.is_empty());
    if given.is_none() {
        faults.required(path, "");
    }
    let only_storage = given.is_some_and(|given| given.len() == 1 && given.contains_key("storage"));
    if !only_storage {
        faults.unsupported_value(path, json!(given), &["storage"]);
    }
    for (name, amount) in given.into_iter().flatten() {
        let Ok(amount) = amount.0.parse::<Quantity>() else {
            continue;
        };
        let path = format!("{path}[{name}]");
        if amount.nanos() < 0 {
            let whole = amount.nanos() / 1_000_000_000;
            faults.invalid(&path, whole, "must be a valid resource quantity");
        }
        if amount.nanos() <= 0 {
            faults.invalid_text(&path, &amount.to_string(), "must be greater than zero");
        }
    }
}

/// Checks where the data is; where several places are given, the first counts.
fn source(faults: &mut Faults, spec: &PersistentVolumeSpec) {
    let given = volume_source(spec);
    let Some(((first, _), others)) = given.split_first() else {
        return faults.required("spec", "must specify a volume type");
    };
    match *first {
        "hostPath" => {
            let host = spec.host_path.clone().unwrap_or_default();
            host_path(faults, "spec.hostPath", &host);
        }
        "local" => {
            let local = spec.local.clone().unwrap_or_default();
            match local.path.as_str() {
                "" => faults.required("spec.local.path", ""),
                path => no_backsteps(faults, "spec.local.path", path),
            }
            if spec.node_affinity.is_none() {
                let detail = "Local volume requires node affinity";
                faults.required("spec.nodeAffinity", detail);
            }
        }
        "nfs" => {
            let nfs = spec.nfs.clone().unwrap_or_default();
            for (field, text) in [("server", &nfs.server), ("path", &nfs.path)] {
                if text.is_empty() {
                    faults.required(&format!("spec.nfs.{field}"), "");
                }
            }
            if !nfs.path.is_empty() && !nfs.path.starts_with('/') {
                faults.invalid_text("spec.nfs.path", &nfs.path, "must be an absolute path");
            }
        }
        _ => {}
    }
    for (name, _) in others {
        let detail = "may not specify more than 1 volume type";
        faults.forbidden(&format!("spec.{name}"), detail);
    }
}

/// Lists where the data of a volume is, in the order in which the API server looks at it: the
/// name of each field that is given, and its value.
pub(crate) fn volume_source(spec: &PersistentVolumeSpec) -> Vec<(&'static str, serde_json::Value)> {
    let all = [
        ("hostPath", json!(spec.host_path)),
        ("gcePersistentDisk", json!(spec.gce_persistent_disk)),
        ("awsElasticBlockStore", json!(spec.aws_elastic_block_store)),
        ("glusterfs", json!(spec.glusterfs)),
        ("flocker", json!(spec.flocker)),
        ("nfs", json!(spec.nfs)),
        ("rbd", json!(spec.rbd)),
        ("quobyte", json!(spec.quobyte)),
        ("cephfs", json!(spec.cephfs)),
        ("iscsi", json!(spec.iscsi)),
        ("cinder", json!(spec.cinder)),
        ("fc", json!(spec.fc)),
        ("flexVolume", json!(spec.flex_volume)),
        ("azureFile", json!(spec.azure_file)),
        ("vsphereVolume", json!(spec.vsphere_volume)),
        ("photonPersistentDisk", json!(spec.photon_persistent_disk)),
        ("portworxVolume", json!(spec.portworx_volume)),
        ("azureDisk", json!(spec.azure_disk)),
        ("scaleIO", json!(spec.scale_io)),
        ("local", json!(spec.local)),
        ("storageos", json!(spec.storageos)),
        ("csi", json!(spec.csi)),
    ];
    let given = all.into_iter().filter(|(_, source)| !source.is_null());
    given.collect()
}

fn node_affinity(faults: &mut Faults, affinity: &VolumeNodeAffinity) {
    let path = "spec.nodeAffinity.required";
    match &affinity.required {
        None => faults.required(path, "must specify required node constraints"),
        Some(required) => node_selector(faults, path, required),
    }
}

fn node_selector(faults: &mut Faults, path: &str, selector: &NodeSelector) {
    let path = format!("{path}.nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        return faults.required(&path, "must have at least one node selector term");
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        let path = format!("{path}[{index}]");
        for (index, given) in term.match_expressions.iter().flatten().enumerate() {
            node_labels(faults, &format!("{path}.matchExpressions[{index}]"), given);
        }
        for (index, given) in term.match_fields.iter().flatten().enumerate() {
            node_fields(faults, &format!("{path}.matchFields[{index}]"), given);
        }
    }
}

fn node_labels(faults: &mut Faults, path: &str, given: &NodeSelectorRequirement) {
    let values = given.values.as_deref().unwrap_or_default();
    let at = format!("{path}.values");
    match given.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            faults.required(&at, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            faults.forbidden(&at, detail);
        }
        "Gt" | "Lt" if values.len() != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            faults.required(&at, detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => {
            let detail = "not a valid selector operator";
            faults.invalid_text(&format!("{path}.operator"), other, detail);
        }
    }
    let key = &given.key;
    note(faults, &format!("{path}.key"), key, qualified(key));
    for (index, value) in values.iter().enumerate() {
        note(faults, &format!("{at}[{index}]"), value, label_value(value));
    }
}

fn node_fields(faults: &mut Faults, path: &str, given: &NodeSelectorRequirement) {
    let values = given.values.as_deref().unwrap_or_default();
    match given.operator.as_str() {
        "In" | "NotIn" if values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node \
                 field selector";
            faults.required(&format!("{path}.values"), detail);
        }
        "In" | "NotIn" => {}
        other => {
            let detail = "not a valid selector operator";
            faults.invalid_text(&format!("{path}.operator"), other, detail);
        }
    }
    if given.key == "metadata.name" {
        for (index, value) in values.iter().enumerate() {
            let path = format!("{path}.values[{index}]");
            note(faults, &path, value, subdomain(value));
        }
    } else {
        let detail = "not a valid field selector key";
        faults.invalid_text(&format!("{path}.key"), &given.key, detail);
    }
}

/// Checks a completed class of volumes.
pub(crate) fn validate_class(class: &StorageClass) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &class.metadata, subdomain);
    let provisioner = |text: &str| qualified(&text.to_lowercase());
    note_required(&mut faults, "provisioner", &class.provisioner, provisioner);
    parameters(&mut faults, class.parameters.as_ref());
    let policies = ["Delete", "Retain"];
    let policy = class.reclaim_policy.as_deref().unwrap_or_default();
    if !policies.contains(&policy) {
        faults.unsupported("reclaimPolicy", policy, &policies);
    }
    let modes = ["Immediate", "WaitForFirstConsumer"];
    let mode = class.volume_binding_mode.as_deref().unwrap_or_default();
    if !modes.contains(&mode) {
        faults.unsupported("volumeBindingMode", mode, &modes);
    }
    faults
}

fn parameters(faults: &mut Faults, given: Option<&BTreeMap<String, String>>) {
    let path = "parameters";
    let number = given.map_or(0, BTreeMap::len);
    if number > MOST_PARAMETERS {
        let message = format!("Too long: may not be more than {MOST_PARAMETERS} bytes");
        faults.add("Provisioner Parameters Length", message);
        return;
    }
    let mut size = 0;
    for (key, value) in given.into_iter().flatten() {
        if key.is_empty() {
            let detail = "field can not be empty.";
            faults.invalid_text(path, key, detail);
        }
        size += key.len() + value.len();
    }
    if size > LONGEST_PARAMETERS {
        let message = format!("Too long: may not be more than {LONGEST_PARAMETERS} bytes");
        faults.add(path, message);
    }
}
