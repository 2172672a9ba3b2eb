//! What the recordings leave out of the binder's rules.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

/// A volume of a class, with a size in GiB and access modes.
fn volume(name: &str, size: u32, modes: &[&str]) -> PersistentVolume {
    read(
        json!({"metadata": {"name": name}, "status": {"phase": "Available"}, "spec": {
        "capacity": {"storage": format!("{size}Gi")}, "accessModes": modes,
        "storageClassName": "a", "hostPath": {"path": "/data"}}}),
    )
}

fn claim(name: &str, more: &Value) -> PersistentVolumeClaim {
    let mut claim = json!({"metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}")},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "a",
                 "resources": {"requests": {"storage": "2Gi"}}}});
    let fields = more.as_object().unwrap();
    for (key, value) in fields {
        claim["spec"][key] = value.clone();
    }
    read(claim)
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn reserved_for(volume: PersistentVolume, name: &str, uid: Option<&str>) -> PersistentVolume {
    let mut volume = volume;
    volume.spec.as_mut().unwrap().claim_ref = Some(read(
        json!({"namespace": "default", "name": name, "uid": uid}),
    ));
    volume
}

fn look(claim: &PersistentVolumeClaim, volumes: &[PersistentVolume]) -> Vec<BindStep> {
    let seen = StorageSeen {
        volumes: volumes.iter().collect(),
        claims: vec![claim],
        classes: Vec::new(),
        pods: Vec::new(),
        provisioning: Provisioning::Nobody,
    };
    look_at_claim(claim, &seen)
}

/// Returns the volume that the steps bind.
fn bound(steps: &[BindStep]) -> Option<String> {
    let BindStep::UpdateVolume(volume) = steps.first()? else {
        return None;
    };
    volume.metadata.name.clone()
}

fn told(steps: &[BindStep]) -> &str {
    match steps.last() {
        Some(BindStep::Tell(told)) => &told.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn fewer_access_modes_go_before_less_room_and_a_reserved_volume_before_the_smallest() {
    let both = ["ReadWriteOnce", "ReadWriteMany"];
    let wanted = claim("c", &json!({}));
    let volumes = [
        volume("small", 2, &both),
        volume("big", 5, &["ReadWriteOnce"]),
    ];
    assert_eq!(
        bound(&look(&wanted, &volumes)).as_deref(),
        Some("big"),
        "PV04"
    );
    let one = ["ReadWriteOnce"];
    let kept = reserved_for(volume("kept", 9, &one), "c", None);
    let volumes = [volume("small", 2, &one), kept];
    assert_eq!(
        bound(&look(&wanted, &volumes)).as_deref(),
        Some("kept"),
        "PV03"
    );
    let other = reserved_for(volume("other", 2, &one), "d", None);
    assert_eq!(
        told(&look(&wanted, &[other])),
        "storageclass.storage.k8s.io \"a\" not found"
    );
}

#[test]
fn what_names_each_other_is_bound_whatever_its_size_and_class() {
    let wanted = claim("c", &json!({"volumeName": "v", "storageClassName": "b"}));
    let steps = look(&wanted, &[reserved_for(volume("v", 1, &[]), "c", None)]);
    assert_eq!(bound(&steps).as_deref(), Some("v"), "PV10");
    let steps = look(&wanted, &[volume("v", 5, &["ReadWriteOnce"])]);
    assert!(
        told(&steps).ends_with("storageClassName does not match"),
        "PV08"
    );
}

#[test]
fn a_volume_whose_claim_is_gone_is_released_and_never_goes_to_a_claim_of_that_name() {
    let one = ["ReadWriteOnce"];
    let left = reserved_for(volume("v", 5, &one), "c", Some("an earlier uid"));
    let again = claim("c", &json!({}));
    assert_eq!(
        bound(&look(&again, std::slice::from_ref(&left))),
        None,
        "PV11"
    );
    let seen = StorageSeen {
        volumes: vec![&left],
        claims: vec![&again],
        classes: Vec::new(),
        pods: Vec::new(),
        provisioning: Provisioning::Nobody,
    };
    let steps = look_at_volume(&left, &seen);
    let BindStep::UpdateVolume(released) = &steps[0] else {
        panic!("{steps:?}");
    };
    assert_eq!(phase(released), "Released");
}

#[test]
fn a_bound_claim_whose_volume_is_gone_is_lost_and_stays_so() {
    let mut wanted = claim("c", &json!({"volumeName": "v"}));
    annotate(&mut wanted.metadata, BIND_COMPLETED);
    let steps = look(&wanted, &[]);
    let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
    assert_eq!(told(&steps), message, "PV23");
    let BindStep::UpdateClaim(lost) = &steps[0] else {
        panic!("{steps:?}");
    };
    assert_eq!(look(lost, &[]), []);
    let new = reserved_for(volume("v", 5, &["ReadWriteOnce"]), "c", None);
    assert_eq!(look(lost, &[new]), [], "PV23");
}

#[test]
fn a_directory_is_a_volume_of_its_claim_alone_and_as_large_as_it_asks_to_be() {
    let wanted = claim("c", &json!({"volumeName": "of an earlier version"}));
    let bound = bind_to_directory(&wanted).unwrap();
    assert!(is_bound(&bound) && is_provisioned(&bound), "{bound:?}");
    assert_eq!(bind_to_directory(&bound), None);
    let shown = provisioned_volume(&bound, "/state/volumes/default/c", "Retain");
    assert_eq!(
        shown.metadata.name,
        bound.spec.as_ref().unwrap().volume_name
    );
    assert!(has_claim(&shown, &bound));
    assert_eq!(phase(&shown), "Bound");
    let mut grown = bound;
    let size = read(json!({"requests": {"storage": "7Gi"}}));
    grown.spec.as_mut().unwrap().resources = Some(size);
    let grown = bind_to_directory(&grown).unwrap();
    let capacity = grown.status.unwrap().capacity.unwrap();
    assert_eq!(capacity["storage"].0, "7Gi");
}

#[test]
fn what_the_binder_notes_in_a_volume_is_told_from_what_was_given() {
    let given = volume("v", 5, &["ReadWriteOnce"]);
    let wanted = claim("c", &json!({}));
    let steps = look(&wanted, std::slice::from_ref(&given));
    let BindStep::UpdateVolume(mut bound) = steps[0].clone() else {
        panic!("{steps:?}");
    };
    let mut changed = given.clone();
    keep_binding(&bound, &mut changed);
    assert_eq!(claim_ref(&changed), claim_ref(&bound));
    assert_eq!(phase(&changed), "Bound");
    forget_binding(&mut bound);
    let mut bare = given;
    bare.status = None;
    assert_eq!(*bound, bare);
    let mut freed = changed.clone();
    freed.spec.as_mut().unwrap().claim_ref = None;
    let mut declared = freed.clone();
    forget_binding(&mut declared);
    assert_ne!(declared, bare, "PV18: that is a change");
    keep_binding(&changed, &mut freed);
    assert_eq!(claim_ref(&freed), None);
    assert!(!is_annotated(&freed.metadata, BOUND_BY_CONTROLLER));
    let mut reserved = reserved_for(bare, "c", Some("uid-c"));
    forget_binding(&mut reserved);
    assert_eq!(claim_ref(&reserved).unwrap().name.as_deref(), Some("c"));
    assert_eq!(claim_ref(&reserved).unwrap().uid, None);
}

#[test]
fn a_binding_that_was_cut_off_is_completed_by_the_next_look() {
    let wanted = claim("c", &json!({}));
    let volumes = [volume("v", 5, &["ReadWriteOnce"])];
    let steps = look(&wanted, &volumes);
    let [BindStep::UpdateVolume(half), BindStep::UpdateClaim(whole)] = &steps[..] else {
        panic!("{steps:?}");
    };
    let after = look(&wanted, &[(**half).clone()]);
    assert_eq!(after, [BindStep::UpdateClaim(whole.clone())]);
    assert_eq!(
        look(whole, &[(**half).clone()]),
        [],
        "nothing is left to do"
    );
}

#[test]
fn this_machine_makes_volumes_of_every_class_but_those_made_by_hand() {
    let look = |class: Value, classes: &[StorageClass]| {
        let wanted = claim("c", &json!({ "storageClassName": class }));
        let seen = StorageSeen {
            volumes: Vec::new(),
            claims: vec![&wanted],
            classes: classes.iter().collect(),
            pods: Vec::new(),
            provisioning: Provisioning::Machine,
        };
        look_at_claim(&wanted, &seen)
    };
    let class = |provisioner: &str, mode: &str| -> StorageClass {
        read(
            json!({"metadata": {"name": "a"}, "provisioner": provisioner,
            "volumeBindingMode": mode}),
        )
    };
    assert_eq!(look(Value::Null, &[]), [BindStep::Provision]);
    assert_eq!(look("a".into(), &[]), [BindStep::Provision]);
    assert_eq!(
        look("a".into(), &[class("ebs.csi.aws.com", "Immediate")]),
        [BindStep::Provision]
    );
    let by_hand = class("kubernetes.io/no-provisioner", "Immediate");
    let steps = look("a".into(), &[by_hand]);
    assert_eq!(
        told(&steps),
        "no volume plugin matched name: kubernetes.io/no-provisioner"
    );
    let selects = claim("c", &json!({"selector": {"matchLabels": {"a": "b"}}}));
    let of_machine = |wanted: &PersistentVolumeClaim, volumes: Vec<&PersistentVolume>, by| {
        let seen = StorageSeen {
            volumes,
            claims: vec![wanted],
            classes: Vec::new(),
            pods: Vec::new(),
            provisioning: by,
        };
        look_at_claim(wanted, &seen)
    };
    let steps = of_machine(&selects, Vec::new(), Provisioning::Machine);
    assert!(told(&steps).starts_with("claim.Spec.Selector is not supported"));
    let missing = "storageclass.storage.k8s.io \"a\" not found";
    let (plain, small) = (claim("c", &json!({})), volume("v", 1, &["ReadWriteOnce"]));
    let steps = of_machine(&plain, vec![&small], Provisioning::Machine);
    assert_eq!(told(&steps), missing, "PV12: its volumes are made by hand");
    let steps = of_machine(&plain, Vec::new(), Provisioning::Waited);
    assert_eq!(told(&steps), missing, "it goes on waiting for them");
    let later = class("ebs.csi.aws.com", "WaitForFirstConsumer");
    assert!(told(&look("a".into(), &[later])).starts_with("waiting for first consumer"));
    assert!(told(&look("".into(), &[])).starts_with("no persistent volumes available"));
}
