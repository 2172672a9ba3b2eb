//! Starts that are certain to fail, foreseen before a pet is stopped for them.
//!
//! Image, PATH and working directory are found as for a start. What only the start itself can tell
//! passes: a path below a mount, for instance, which an init container may fill.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};
use rustix::fs::{Access, Mode, OFlags, ResolveFlags, access};
use rustix::io::Errno;

use super::container::Supplies;
use super::isolation::is_full;
use crate::model::Namespace;
use crate::model::environment::Sources;
use crate::model::image::ImageLaunch;
use crate::model::lifecycle::Failure;
use crate::store::{PidFile, Store};
use crate::sys::proc;

/// The programs that every container finds in the state directory, which may not be there yet.
const OWN_PROGRAMS: [&str; 2] = ["petset", "peer-finder"];

const NO_FILE: &str = "there is no such file";

/// Tells which containers of a pod can never start on this machine.
#[derive(Debug)]
pub(crate) struct Foresight<'a> {
    pod: &'a Pod,
    full: bool,
    supplies: Supplies,
}

/// What is known of a file that is to be executed.
enum Executable {
    /// It may be one.
    Plausible,
    /// There is none that this user can see, for this reason.
    Absent(&'static str),
    /// There is one that cannot be executed, for this reason.
    Unfit(&'static str),
}

impl<'a> Foresight<'a> {
    /// Judges the containers of a pod whose level of isolation is decided.
    pub(crate) fn new(store: &Store, namespace: &Namespace, pod: &'a Pod) -> Self {
        let full = is_full(pod);
        let mut supplies = Supplies::new(store.clone(), namespace.clone(), full);
        // A supervisor that runs passes its own PATH on, and one that is started now this one.
        let supervisor = PidFile::of_supervisor(store.layout()).read();
        if let Some(path) = supervisor.and_then(|pid| proc::variable_of(pid, "PATH")) {
            supplies.search_also(&path);
        }
        Self {
            pod,
            full,
            supplies,
        }
    }

    /// Returns why a container can never start, where that is certain.
    pub(crate) fn fault(&self, container: &Container) -> Option<String> {
        let image = match self.supplies.image_of(container) {
            Ok(image) => image,
            Err(
                Failure::Image(fault)
                | Failure::ImageName(fault)
                | Failure::ImageNever(fault)
                | Failure::Config(fault)
                | Failure::Create(fault)
                | Failure::Launch(fault),
            ) => return Some(fault),
        };
        let program = image.argv.first().filter(|it| !is_brought(it, &image))?;
        if program.contains("$(") {
            return None;
        }
        let fault = match program.contains('/') {
            true => self.fault_of_path(container, &image, Path::new(program)),
            false => self.fault_of_name(container, &image, program),
        };
        fault.map(|fault| format!("executing {program:?}: {fault}"))
    }

    fn fault_of_path(
        &self,
        container: &Container,
        image: &ImageLaunch,
        program: &Path,
    ) -> Option<String> {
        let cwd = self.working_directory(container, image);
        let path = cwd.as_deref().unwrap_or(Path::new("/")).join(program);
        if is_in_mount(&path, container) {
            return None;
        }
        // Without one it starts in a directory of the pet, which holds nothing but its mounts.
        let found = match cwd.is_some() || program.is_absolute() {
            true => self.look(&path, container, image),
            false => Executable::Absent(NO_FILE),
        };
        match found {
            Executable::Plausible => None,
            Executable::Absent(why) | Executable::Unfit(why) => Some(why.to_owned()),
        }
    }

    fn fault_of_name(
        &self,
        container: &Container,
        image: &ImageLaunch,
        program: &str,
    ) -> Option<String> {
        let path = self.path_of(container, image)?;
        let mut fault = "executable file not found in $PATH".to_owned();
        for folder in std::env::split_paths(&path) {
            let place = folder.join(program);
            if !folder.is_absolute() || is_in_mount(&place, container) {
                return None;
            }
            match self.look(&place, container, image) {
                Executable::Plausible => return None,
                Executable::Absent(_) => {}
                Executable::Unfit(why) => fault = format!("{}: {why}", place.display()),
            }
        }
        Some(fault)
    }

    /// Returns the container's PATH, if it is known before its pod is.
    fn path_of(&self, container: &Container, image: &ImageLaunch) -> Option<String> {
        if container.env_from.iter().flatten().next().is_some() {
            return None;
        }
        let mut plain = container.clone();
        let variables = plain.env.iter_mut();
        variables.for_each(|all| all.retain(|variable| variable.name == "PATH"));
        let made = self
            .supplies
            .environment(self.pod, &plain, &Sources::default(), &[], image);
        let mut variables = made.ok()?.variables().into_iter();
        let (_, path) = variables.find(|(name, _)| name == "PATH")?;
        Some(path).filter(|path| !path.contains("$("))
    }

    /// Returns where the container starts; nothing where that is a directory of the pet's own.
    fn working_directory(&self, container: &Container, image: &ImageLaunch) -> Option<PathBuf> {
        let given = container.working_dir.as_deref();
        let given = given.filter(|given| !given.is_empty()).map(Path::new);
        let within = image.workdir.as_deref().map(Path::new);
        let root = Path::new("/");
        match self.full {
            true => {
                let cwd = given.or(image.cwd.as_deref()).or(within);
                Some(root.join(cwd.unwrap_or(root)))
            }
            false if given.is_none() && within.is_some() => None,
            false => {
                let cwd = given.or(image.cwd.as_deref());
                cwd.filter(|cwd| cwd.is_absolute()).map(Path::to_owned)
            }
        }
    }

    fn look(&self, path: &Path, container: &Container, image: &ImageLaunch) -> Executable {
        let found = match &image.rootfs {
            Some(root) => look_within(root, path),
            None => fs::metadata(path).map_err(|error| Errno::from_io_error(&error)),
        };
        match found {
            Err(Some(Errno::NOENT | Errno::NOTDIR)) if self.may_be_made() => Executable::Plausible,
            Err(Some(Errno::NOENT | Errno::NOTDIR)) => Executable::Absent(NO_FILE),
            Err(Some(Errno::ACCESS)) if !self.is_of_other_user(container) => {
                Executable::Absent("permission denied")
            }
            Err(_) => Executable::Plausible,
            Ok(found) if found.is_dir() => Executable::Unfit("it is a directory"),
            Ok(found) if !found.is_file() => Executable::Unfit("it is no file"),
            Ok(found) if !self.may_execute(path, &found, container, image) => {
                Executable::Unfit("it is not executable (`chmod +x` makes it so)")
            }
            Ok(_) => Executable::Plausible,
        }
    }

    /// Without isolation an init container may put a program anywhere.
    fn may_be_made(&self) -> bool {
        let spec = self.pod.spec.as_ref();
        let mut inits = spec.into_iter().flat_map(|spec| &spec.init_containers);
        !self.full && inits.any(|inits| !inits.is_empty())
    }

    fn is_of_other_user(&self, container: &Container) -> bool {
        let of_pod = self.pod.spec.as_ref();
        let of_pod = of_pod.and_then(|spec| spec.security_context.as_ref()?.run_as_user);
        let own = container.security_context.as_ref();
        own.and_then(|own| own.run_as_user).or(of_pod).is_some()
    }

    /// What another user may do is not known here, beyond that nobody executes a file without the
    /// permission for anyone.
    fn may_execute(
        &self,
        path: &Path,
        found: &Metadata,
        container: &Container,
        image: &ImageLaunch,
    ) -> bool {
        match self.is_of_other_user(container) || image.rootfs.is_some() {
            true => found.permissions().mode() & 0o111 != 0,
            false => access(path, Access::EXEC_OK) != Err(Errno::ACCESS),
        }
    }
}

/// Returns whether a program comes with the image, or with petset.
fn is_brought(program: &str, image: &ImageLaunch) -> bool {
    let is_shell = image.shell.is_some() && matches!(program, "sh" | "/bin/sh");
    let is_applet = image.applets.iter().any(|applet| applet == program);
    is_shell || is_applet || OWN_PROGRAMS.contains(&program) || image.brings(program)
}

fn is_in_mount(path: &Path, container: &Container) -> bool {
    let mounts = container.volume_mounts.iter().flatten();
    let mut places = mounts.map(|mount| Path::new("/").join(&mount.mount_path));
    places.any(|place| path.starts_with(place))
}

/// Looks at a file as a process does whose root is `root`: a link may begin there.
fn look_within(root: &Path, path: &Path) -> Result<Metadata, Option<Errno>> {
    let root = fs::File::open(root).map_err(|error| Errno::from_io_error(&error))?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    let found = fs::File::from(file).metadata();
    found.map_err(|error| Errno::from_io_error(&error))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    use serde_json::{Value, json};

    use super::*;
    use crate::model::ISOLATION_ANNOTATION;

    const NOT_ON_PATH: &str = "executable file not found in $PATH";

    /// A machine with a state directory, a program `good`, and a file `text` that is none.
    fn machine() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("good", 0o755), ("text", 0o644)] {
            let path = dir.path().join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        dir
    }

    /// Tells why a container cannot start, in a pod that has `more` in its spec.
    fn fault(dir: &Path, level: &str, container: &Value, more: &Value) -> Option<String> {
        let mut spec = json!({"containers": [container]});
        let all = spec.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        let notes = json!({ISOLATION_ANNOTATION: level});
        let pod = json!({"metadata": {"name": "web-0", "annotations": notes}, "spec": spec});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let store = Store::open(dir.to_owned()).unwrap();
        let foresight = Foresight::new(&store, &Namespace::default(), &pod);
        foresight.fault(&pod.spec.as_ref().unwrap().containers[0])
    }

    /// Tells the same of a container with this program, at both levels.
    fn both(dir: &Path, program: &str, more: &Value) -> [Option<String>; 2] {
        let mut container = json!({"name": "c", "image": "x", "command": [program]});
        let all = container.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        ["full", "none"].map(|level| fault(dir, level, &container, &json!({})))
    }

    fn assert_fault(found: &[Option<String>; 2], wanted: Option<&str>) {
        for found in found {
            match (found, wanted) {
                (Some(found), Some(wanted)) => assert!(found.contains(wanted), "{found}"),
                (found, wanted) => assert_eq!(found.as_deref(), wanted),
            }
        }
    }

    #[test]
    fn a_program_must_be_there_be_a_file_and_be_executable() {
        let machine = machine();
        let dir = machine.path();
        let at = |name: &str| dir.join(name).display().to_string();
        let plain = json!({});
        let cases = [
            (at("good"), None),
            (at("none"), Some(NO_FILE)),
            (at("good/none"), Some(NO_FILE)),
            (at("text"), Some("it is not executable")),
            (at(""), Some("it is a directory")),
            ("/dev/null".to_owned(), Some("it is no file")),
            ("./good".to_owned(), Some(NO_FILE)),
            ("sh".to_owned(), None),
            ("petset".to_owned(), None),
            ("no-such-program".to_owned(), Some(NOT_ON_PATH)),
            ("$(WHATEVER)/x".to_owned(), None),
        ];
        for (program, wanted) in cases {
            assert_fault(&both(dir, &program, &plain), wanted);
        }
        let other = json!({"securityContext": {"runAsUser": 12345}});
        assert_fault(&both(dir, &at("text"), &other), Some("not executable"));
    }

    #[test]
    fn working_directory_and_path_are_those_of_the_container() {
        let machine = machine();
        let dir = machine.path();
        let there = json!({"workingDir": dir});
        assert_fault(&both(dir, "./good", &there), None);
        assert_fault(&both(dir, "./none", &there), Some(NO_FILE));
        let path = |value: &str| json!({"env": [{"name": "PATH", "value": value}]});
        let own = dir.display().to_string();
        assert_fault(&both(dir, "good", &path(&own)), None);
        assert_fault(&both(dir, "sh", &path(&own)), Some(NOT_ON_PATH));
        assert_fault(&both(dir, "text", &path(&own)), Some("not executable"));
        assert_fault(&both(dir, "sh", &path("$(HERE):/nowhere")), None);
        // Nor is it in a folder that may not be entered.
        fs::create_dir(dir.join("closed")).unwrap();
        fs::set_permissions(dir.join("closed"), Permissions::from_mode(0o000)).unwrap();
        let closed = format!("{own}/closed:/nowhere");
        assert_fault(&both(dir, "sh", &path(&closed)), Some(NOT_ON_PATH));
        let unknown = json!({"envFrom": [{"configMapRef": {"name": "m"}}]});
        assert_fault(&both(dir, "no-such-program", &unknown), None);
    }

    #[test]
    fn below_a_mount_and_behind_an_init_container_a_program_may_appear() {
        let machine = machine();
        let dir = machine.path();
        let mounted = json!({"volumeMounts": [{"name": "v", "mountPath": "/opt/new"}]});
        assert_fault(&both(dir, "/opt/new/server", &mounted), None);
        assert_fault(&both(dir, "/opt/newer/server", &mounted), Some(NO_FILE));
        let mut below = mounted.clone();
        below["env"] = json!([{"name": "PATH", "value": "/opt/new/bin:/usr/bin"}]);
        assert_fault(&both(dir, "no-such-program", &below), None);
        below["workingDir"] = json!("/opt/new");
        assert_fault(&both(dir, "./server", &below), None);
        let container = json!({"name": "c", "image": "x", "command": [dir.join("none")]});
        let inits = json!({"initContainers": [{"name": "i", "image": "x"}]});
        assert_eq!(fault(dir, "none", &container, &inits), None);
        let found = fault(dir, "full", &container, &inits);
        assert!(found.is_some(), "its files are its own");
    }

    #[test]
    fn an_image_with_a_root_of_its_own_has_its_programs_there() {
        let machine = machine();
        let dir = machine.path();
        let root = dir.join("root");
        fs::create_dir_all(root.join("opt")).unwrap();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::copy(dir.join("good"), root.join("opt/good")).unwrap();
        symlink("/opt/good", root.join("usr/bin/linked")).unwrap();
        symlink("/bin/sh", root.join("usr/bin/dangling")).unwrap();
        let entry = "[\"own\"]\nrootfs = \"./root\"\nentrypoint = [\"/opt/none\"]\n";
        fs::write(dir.join("images.toml"), entry).unwrap();
        let told = |level: &str, command: Value| {
            let container = json!({"name": "c", "image": "own", "command": command});
            fault(dir, level, &container, &json!({})).unwrap_or_default()
        };
        for good in ["linked", "/usr/bin/linked", "/opt/good"] {
            assert_eq!(told("full", json!([good])), "");
        }
        assert!(told("full", json!(["dangling"])).contains(NOT_ON_PATH));
        assert!(told("full", json!(["/bin/sh"])).contains(NO_FILE));
        assert!(told("full", json!([])).contains(NO_FILE), "its entrypoint");
        assert!(told("none", json!(["linked"])).contains("needs isolation full"));
    }

    #[test]
    fn an_image_that_cannot_be_resolved_is_a_fault() {
        let machine = machine();
        for (image, wanted) in [
            ("example/unknown:v1", "no image \"example/unknown:v1\""),
            ("Not:::one", "couldn't parse image name \"Not:::one\""),
        ] {
            let container = json!({"name": "c", "image": image});
            let found = fault(machine.path(), "none", &container, &json!({})).unwrap();
            assert!(found.contains(wanted), "{found}");
        }
        fs::write(machine.path().join("images.toml"), "[").unwrap();
        let container = json!({"name": "c", "image": "x", "command": ["sh"]});
        let found = fault(machine.path(), "none", &container, &json!({})).unwrap();
        assert!(found.contains("images.toml:1:"), "{found}");
    }
}
