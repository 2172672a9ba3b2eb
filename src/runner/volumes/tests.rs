use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::model::Namespace;
use crate::model::environment::Sources;
use crate::model::fields::Capacity;
use crate::store::Layout;

const CAPACITY: Capacity = Capacity {
    cpus: 2,
    memory: 1 << 30,
    storage: 1 << 40,
};

/// A state directory with a pod in it.
struct Sandbox {
    dir: TempDir,
    sources: Sources,
}

impl Sandbox {
    fn new() -> Self {
        let mut sources = Sources::default();
        let map =
            json!({"data": {"a.conf": "one", "b.conf": "two"}, "binaryData": {"bin": "/w=="}});
        let map = serde_json::from_value(map).unwrap();
        sources.config_maps.insert("conf".to_owned(), map);
        let secret = json!({"data": {"key": "czNjcmV0"}});
        let secret = serde_json::from_value(secret).unwrap();
        sources.secrets.insert("keys".to_owned(), secret);
        let dir = tempfile::tempdir().unwrap();
        Self { dir, sources }
    }

    fn layout(&self) -> Layout {
        Layout::new(self.dir.path())
    }

    fn claim(&self, name: &str) -> PathBuf {
        let path = self.layout().volume(&Namespace::default(), name);
        make_dir(&path).unwrap();
        path
    }

    fn root(&self) -> PathBuf {
        let pet = self.layout().pet(&Namespace::default(), "web-0");
        pet.container_root("c")
    }

    fn volume(&self, name: &str) -> PathBuf {
        let pet = self.layout().pet(&Namespace::default(), "web-0");
        pet.volumes().join(name)
    }

    fn prepare(&self, volumes: Value) -> Result<PreparedVolumes, String> {
        let pod = json!({
            "metadata": {"name": "web-0", "namespace": "default", "labels": {"app": "web"}},
            "spec": {"volumes": volumes,
                "containers": [{"name": "c", "resources": {"limits": {"memory": "64Mi"}}}]}
        });
        let home = VolumeContext {
            layout: &self.layout(),
            namespace: &Namespace::default(),
            pod: &serde_json::from_value(pod).unwrap(),
            sources: &self.sources,
            capacity: CAPACITY,
            grouped: false,
        };
        let volumes = prepare(&home);
        let mut volumes = volumes.map_err(|error| error.message)?;
        volumes.show().map_err(|error| error.message)?;
        Ok(volumes)
    }

    fn mount(&self, volumes: Value, mounts: Value, cwd: Option<&str>) -> Result<Mounted, String> {
        let volumes = self.prepare(volumes)?;
        let container = json!({"name": "c", "volumeMounts": mounts, "workingDir": cwd});
        let container = serde_json::from_value(container).unwrap();
        let lookup = |name: &str| (name == "POD_NAME").then(|| "web-0".to_owned());
        let mounted = volumes.for_container(&container, &lookup, None);
        mounted.map_err(|error| error.message)
    }
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn set_up_failed(volume: &str, fault: &str) -> String {
    format!("MountVolume.SetUp failed for volume {volume:?} : {fault}")
}

#[test]
fn v01_an_empty_dir_is_open_to_all_and_keeps_what_is_in_it() {
    let sandbox = Sandbox::new();
    let volumes = json!([{"name": "tmp", "emptyDir": {}}, {"name": "bare"}]);
    sandbox.prepare(volumes.clone()).unwrap();
    assert_eq!(mode(sandbox.volume("tmp")), 0o777);
    fs::write(sandbox.volume("tmp").join("file"), "kept").unwrap();
    sandbox.prepare(volumes).unwrap();
    assert_eq!(text(sandbox.volume("tmp").join("file")), "kept");
    assert!(sandbox.volume("bare").is_dir());
}

#[test]
fn v02_a_config_map_is_a_directory_of_files_with_modes() {
    let sandbox = Sandbox::new();
    let items = json!([{"key": "a.conf", "path": "deep/er/a", "mode": 0o400}, {"key": "b.conf", "path": "b"}]);
    let volumes = json!([
        {"name": "all", "configMap": {"name": "conf"}},
        {"name": "some", "configMap": {"name": "conf", "items": items, "defaultMode": 0o755}},
        {"name": "none", "configMap": {"name": "nope", "optional": true}}]);
    sandbox.prepare(volumes).unwrap();
    let all = sandbox.volume("all");
    assert_eq!(text(all.join("a.conf")), "one");
    assert_eq!(fs::read(all.join("bin")).unwrap(), [0xff]);
    assert_eq!(mode(all.join("a.conf")), 0o644);
    let some = sandbox.volume("some");
    assert_eq!(text(some.join("deep/er/a")), "one");
    assert_eq!(mode(some.join("deep/er/a")), 0o400);
    assert_eq!(mode(some.join("b")), 0o755);
    assert!(!some.join("a.conf").exists());
    let none = fs::read_dir(sandbox.volume("none")).unwrap();
    let seen = none.filter(|entry| {
        !entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("..")
    });
    assert_eq!(seen.count(), 0);
}

#[test]
fn v02_a_secret_has_the_mode_that_the_manifest_says() {
    let sandbox = Sandbox::new();
    let item = json!([{"key": "key", "path": "k", "mode": 0o440}]);
    let volumes = json!([
        {"name": "plain", "secret": {"secretName": "keys"}},
        {"name": "program", "secret": {"secretName": "keys", "defaultMode": 0o755}},
        {"name": "item", "secret": {"secretName": "keys", "items": item}},
        {"name": "mixed", "projected": {"sources": [{"secret": {"name": "keys"}}]}}]);
    sandbox.prepare(volumes).unwrap();
    assert_eq!(text(sandbox.volume("plain").join("key")), "s3cret");
    assert_eq!(mode(sandbox.volume("plain").join("key")), 0o644);
    assert_eq!(mode(sandbox.volume("program").join("key")), 0o755);
    assert_eq!(mode(sandbox.volume("item").join("k")), 0o440);
    assert_eq!(mode(sandbox.volume("mixed").join("key")), 0o644);
}

#[test]
fn v03_what_is_missing_is_named_in_the_kubelets_words() {
    let sandbox = Sandbox::new();
    let item = json!([{"key": "nope", "path": "n"}]);
    let up = json!([{"key": "a.conf", "path": "../n"}]);
    let cases = [
        (
            json!({"configMap": {"name": "no"}}),
            "configmap \"no\" not found",
        ),
        (
            json!({"secret": {"secretName": "no"}}),
            "secret \"no\" not found",
        ),
        (
            json!({"configMap": {"name": "conf", "items": item}}),
            "configmap references non-existent config key: nope",
        ),
        (
            json!({"secret": {"secretName": "keys", "items": item}}),
            "references non-existent secret key: nope",
        ),
        (
            json!({"configMap": {"name": "conf", "items": up}}),
            "\"../n\" must be a relative path without '..'",
        ),
        (
            json!({"nfs": {"server": "s", "path": "/"}}),
            "petset has no volumes of the kind nfs",
        ),
    ];
    for (mut volume, fault) in cases {
        volume["name"] = json!("v");
        let error = sandbox.prepare(json!([volume])).unwrap_err();
        assert_eq!(error, set_up_failed("v", fault));
    }
    let claim = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data-web-0"}}]);
    let unplaced = "persistentvolumeclaim \"data-web-0\" not found";
    assert_eq!(sandbox.prepare(claim).unwrap_err(), unplaced);
    let optional =
        json!({"name": "v", "configMap": {"name": "conf", "items": item, "optional": true}});
    assert!(sandbox.prepare(json!([optional])).is_ok());
}

#[test]
fn v04_an_update_swaps_all_files_at_once_and_leaves_nothing_behind() {
    let mut sandbox = Sandbox::new();
    let volumes = json!([{"name": "conf", "configMap": {"name": "conf"}}]);
    sandbox.prepare(volumes.clone()).unwrap();
    let path = sandbox.volume("conf");
    let first = fs::read_link(path.join("..data")).unwrap();
    assert_eq!(
        fs::read_link(path.join("a.conf")).unwrap(),
        Path::new("..data/a.conf")
    );
    sandbox.prepare(volumes.clone()).unwrap();
    assert_eq!(fs::read_link(path.join("..data")).unwrap(), first);

    let map = json!({"data": {"a.conf": "new", "c.conf": "three"}});
    let map = serde_json::from_value(map).unwrap();
    sandbox.sources.config_maps.insert("conf".to_owned(), map);
    make_dir(&path.join("..left-by-a-crash")).unwrap();
    sandbox.prepare(volumes).unwrap();
    assert_eq!(text(path.join("a.conf")), "new");
    let entries = fs::read_dir(&path).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "..data").collect();
    names.sort_unstable();
    assert_eq!(names[1..], ["a.conf", "c.conf"]);
    assert!(!path.join(first).exists());
}

#[test]
fn v05_paths_of_the_host_are_checked_by_type() {
    let sandbox = Sandbox::new();
    let host = tempfile::tempdir().unwrap();
    let path = |name: &str| host.path().join(name);
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("dir")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let cases = [
        ("untyped/dir", "", None),
        ("file", "", None),
        ("new/dir", "DirectoryOrCreate", None),
        ("new-file", "FileOrCreate", None),
        ("dir", "Directory", None),
        ("file", "File", None),
        ("socket", "Socket", None),
        ("file", "DirectoryOrCreate", Some("a directory")),
        ("none", "Directory", Some("a directory")),
        ("dir", "FileOrCreate", Some("a file")),
        ("none", "File", Some("a file")),
        ("file", "Socket", Some("a socket file")),
        ("file", "CharDevice", Some("a character device")),
        ("file", "BlockDevice", Some("a block device")),
    ];
    for (name, kind, wanted) in cases {
        let path = path(name);
        let volumes = json!([{"name": "h", "hostPath": {"path": path, "type": kind}}]);
        let fault = wanted.map(|wanted| {
            let path = path.display();
            let fault = format!("hostPath type check failed: {path} is not {wanted}");
            set_up_failed("h", &fault)
        });
        assert_eq!(sandbox.prepare(volumes).err(), fault, "{name} {kind}");
    }
    assert_eq!(mode(path("untyped/dir")), 0o755);
    assert_eq!(mode(path("new/dir")), 0o755);
    assert_eq!(mode(path("new-file")), 0o644);
    assert!(!path("none").exists());
}

#[test]
fn v06_a_sub_path_is_made_and_never_leads_out_of_its_volume() {
    let sandbox = Sandbox::new();
    let claim = sandbox.claim("data-web-0");
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), claim.join("out")).unwrap();
    std::os::unix::fs::symlink("inner", claim.join("in")).unwrap();
    fs::create_dir(claim.join("inner")).unwrap();
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]);
    let mount = |key: &str, path: &str| {
        let mut mount = json!({"name": "data", "mountPath": "/data"});
        mount[key] = json!(path);
        sandbox.mount(volumes.clone(), json!([mount]), None)
    };
    let mounted = mount("subPath", "a/b").unwrap();
    assert_eq!(mounted.mounts[0].path, claim.join("a/b"));
    assert!(claim.join("a/b").is_dir());
    assert_eq!(
        mount("subPathExpr", "$(POD_NAME)").unwrap().mounts[0].path,
        claim.join("web-0")
    );
    mount("subPath", "in/x").unwrap();
    assert!(claim.join("inner/x").is_dir());
    let missing = mount("subPathExpr", "$(NOPE)").unwrap_err();
    assert_eq!(missing, "missing value for \"NOPE\"");
    assert!(
        mount("subPath", "../x")
            .unwrap_err()
            .contains("must not contain '..'")
    );
    assert!(
        mount("subPathExpr", "/etc")
            .unwrap_err()
            .contains("absolute path")
    );
    assert!(
        mount("subPath", "out/x")
            .unwrap_err()
            .contains("failed to prepare subPath for volumeMount")
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn v06_a_single_file_of_a_config_map_can_be_mounted() {
    let sandbox = Sandbox::new();
    let volumes = json!([{"name": "conf", "configMap": {"name": "conf"}}]);
    let mounts = json!([
        {"name": "conf", "mountPath": "/etc/db/db.conf", "subPath": "a.conf"},
        {"name": "conf", "mountPath": "/etc/db/none.conf", "subPath": "none.conf"}]);
    let mounted = sandbox.mount(volumes, mounts, None).unwrap();
    assert_eq!(text(sandbox.root().join("etc/db/db.conf")), "one");
    let warning = "volume conf has no none.conf: its subPath is an empty directory";
    assert_eq!(mounted.warnings, [warning]);
}

#[test]
fn v07_v08_a_projected_volume_mixes_sources() {
    let sandbox = Sandbox::new();
    let fields = json!([
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "mem", "mode": 0o600, "resourceFieldRef":
            {"containerName": "c", "resource": "limits.memory", "divisor": "1Mi"}}]);
    let volumes = json!([
        {"name": "all", "projected": {"sources": [
            {"configMap": {"name": "conf", "items": [{"key": "a.conf", "path": "a"}]}},
            {"secret": {"name": "keys"}}, {"downwardAPI": {"items": fields}},
            {"serviceAccountToken": {"path": "token"}}]}},
        {"name": "down", "downwardAPI": {"items": fields}}]);
    let prepared = sandbox.prepare(volumes).unwrap();
    let all = sandbox.volume("all");
    let read = ["a", "key", "labels", "mem"].map(|name| text(all.join(name)));
    assert_eq!(read, ["one", "s3cret", "app=\"web\"", "64"]);
    let warning = "volume all: there is no serviceAccountToken without a cluster, left out";
    assert_eq!(prepared.warnings, [warning]);
    assert_eq!(text(sandbox.volume("down").join("labels")), "app=\"web\"");
    assert_eq!(mode(sandbox.volume("down").join("mem")), 0o600);
}

#[test]
fn a_mount_is_a_link_below_the_containers_root_and_can_be_made_again() {
    let sandbox = Sandbox::new();
    let claim = sandbox.claim("data-web-0");
    let volumes =
        json!([{"name": "my-data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]);
    let mounts = json!([{"name": "my-data", "mountPath": "/var/lib/db/", "readOnly": true}]);
    for _ in 0..2 {
        let mounted = sandbox
            .mount(volumes.clone(), mounts.clone(), None)
            .unwrap();
        assert_eq!(
            fs::read_link(sandbox.root().join("var/lib/db")).unwrap(),
            claim
        );
        let path = claim.display().to_string();
        assert_eq!(
            mounted.variables,
            [("PETSET_MOUNT_MY_DATA".to_owned(), path)]
        );
        assert_eq!(mounted.cwd, sandbox.root());
        let shown = serde_json::to_value(&mounted.mounts).unwrap();
        let expected = json!([{"volume": "my-data", "mountPath": "/var/lib/db/", "path": claim, "readOnly": true}]);
        assert_eq!(shown, expected);
    }
}

#[test]
fn further_mounts_of_one_volume_are_named_by_their_sub_path() {
    let sandbox = Sandbox::new();
    let volumes = json!([{"name": "v", "emptyDir": {}}]);
    let mounts = json!([
        {"name": "v", "mountPath": "/a", "subPath": "one"},
        {"name": "v", "mountPath": "/b", "subPath": "two.d/x"},
        {"name": "v", "mountPath": "/c", "subPath": "one"},
        {"name": "v", "mountPath": "/d", "subPathExpr": "$(POD_NAME)"}]);
    let mounted = sandbox
        .mount(volumes.clone(), mounts.clone(), None)
        .unwrap();
    let path = |end: &str| sandbox.volume("v").join(end).display().to_string();
    let expected = [
        ("PETSET_MOUNT_V".to_owned(), path("one")),
        ("PETSET_MOUNT_V_TWO_D_X".to_owned(), path("two.d/x")),
        ("PETSET_MOUNT_V_WEB_0".to_owned(), path("web-0")),
    ];
    assert_eq!(mounted.variables, expected);
    let container = json!({"name": "c", "volumeMounts": mounts});
    let container = serde_json::from_value(container).unwrap();
    let early = sandbox
        .prepare(volumes)
        .unwrap()
        .variables(&container)
        .unwrap();
    assert_eq!(early, expected[..2]);
}

#[test]
fn a_volume_that_is_mounted_whole_has_the_plain_name() {
    let sandbox = Sandbox::new();
    let volumes = json!([{"name": "v", "emptyDir": {}}, {"name": "v-x", "emptyDir": {}}]);
    let mounts = json!([
        {"name": "v", "mountPath": "/a", "subPath": "x"},
        {"name": "v", "mountPath": "/b"},
        {"name": "v-x", "mountPath": "/c"}]);
    let mounted = sandbox.mount(volumes, mounts, None).unwrap();
    let path = |name: &str| sandbox.volume(name).display().to_string();
    let expected = [
        ("PETSET_MOUNT_V".to_owned(), path("v")),
        ("PETSET_MOUNT_V_X".to_owned(), path("v-x")),
    ];
    assert_eq!(mounted.variables, expected);
}

#[test]
fn a_mount_within_a_mount_is_seen_in_an_empty_dir_and_told_of_elsewhere() {
    let sandbox = Sandbox::new();
    let claim = sandbox.claim("data-web-0");
    let volumes = json!([
        {"name": "tmp", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}},
        {"name": "conf", "configMap": {"name": "conf"}}]);
    let mounts = json!([
        {"name": "conf", "mountPath": "/tmp/etc/conf"},
        {"name": "tmp", "mountPath": "/tmp"}]);
    for _ in 0..2 {
        let mounted = sandbox
            .mount(volumes.clone(), mounts.clone(), None)
            .unwrap();
        assert!(mounted.warnings.is_empty());
        assert_eq!(text(sandbox.root().join("tmp/etc/conf/a.conf")), "one");
    }
    let mounts = json!([
        {"name": "data", "mountPath": "/data"},
        {"name": "conf", "mountPath": "/data/conf"}]);
    let mounted = sandbox.mount(volumes.clone(), mounts, None).unwrap();
    let place = sandbox.volume("conf");
    let warning = format!(
        "volume conf is not to be seen at /data/conf: volume data is mounted around it at /data; \
         it is {} (PETSET_MOUNT_CONF)",
        place.display()
    );
    assert_eq!(mounted.warnings, [warning]);
    assert_eq!(fs::read_dir(claim).unwrap().count(), 0);
    let root = json!([{"name": "tmp", "mountPath": "/"}]);
    let mounted = sandbox.mount(volumes.clone(), root, None).unwrap();
    assert!(mounted.warnings[0].contains("the root cannot be a link"));
    let up = json!([{"name": "tmp", "mountPath": "/a/../../b"}]);
    assert!(
        sandbox
            .mount(volumes, up, None)
            .unwrap_err()
            .contains("must not contain '..'")
    );
}

#[test]
fn a_working_directory_at_or_below_a_mount_is_in_the_volume() {
    let sandbox = Sandbox::new();
    let volumes = json!([{"name": "v", "emptyDir": {}}]);
    let mounts = json!([{"name": "v", "mountPath": "/srv/app"}]);
    let cwd = |given: Option<&str>| {
        let mounted = sandbox.mount(volumes.clone(), mounts.clone(), given);
        mounted.map(|mounted| mounted.cwd)
    };
    let (root, volume) = (sandbox.root(), sandbox.volume("v"));
    assert_eq!(cwd(None), Ok(root.clone()));
    assert_eq!(cwd(Some("/srv/app")), Ok(volume.clone()));
    assert_eq!(cwd(Some("/srv/app/sub/dir")), Ok(volume.join("sub/dir")));
    assert!(volume.join("sub/dir").is_dir());
    assert_eq!(cwd(Some("/srv/application")), Ok("/srv/application".into()));
    assert_eq!(cwd(Some("/usr")), Ok("/usr".into()));
    assert_eq!(cwd(Some("work")), Ok(root.join("work")));
    assert!(root.join("work").is_dir());
    assert!(cwd(Some("../x")).is_err());
}

#[test]
fn a_mount_of_a_volume_that_is_not_there_is_refused() {
    let sandbox = Sandbox::new();
    let mounts = json!([{"name": "nope", "mountPath": "/a"}]);
    let error = sandbox.mount(json!([]), mounts, None).unwrap_err();
    assert_eq!(error, "volume \"nope\" not found");
}
