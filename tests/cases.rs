//! Small inputs that failed once, as they lie beside the project: each is run, and held to the
//! right result that its head tells.
//!
//! Where the folder or a program is missing, a test says so and does nothing; where
//! `PETSET_TEST_REQUIRE` names it (`cases` is the folder), the test fails instead.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "cases/kubelet.rs"]
mod kubelet;
#[path = "cases/processes.rs"]
mod processes;
#[path = "cases/told.rs"]
mod told;
#[path = "cases/trust.rs"]
mod trust;
#[path = "cases/users.rs"]
mod users;
#[path = "cases/volumes.rs"]
mod volumes;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Outcome, Sandbox};

/// Makes the list of files that are run, and a test of each.
macro_rules! cases {
    ($($file:literal: $test:ident = $rule:path;)*) => {
        const RUN: &[&str] = &[$($file),*];

        $(#[test]
        fn $test() {
            if let Some(case) = Case::find($file) {
                $rule(&case);
            }
        })*
    };
}

cases! {
    "block-scalar-at-eof.sh": a_block_scalar_may_end_the_file = told::block_scalar;
    "bom-second-document.sh": a_later_document_may_begin_with_a_mark = told::byte_order_marks;
    "claim-template-label.sh": a_label_of_a_claim_template_may_change = volumes::claim_label;
    "configmap-change.sh": a_changed_map_reaches_its_pets = volumes::changed_map;
    "endpoints-by-hand.yaml": endpoints_by_hand_are_resolved = told::endpoints_by_hand;
    "exec-outlives-its-container.sh": what_exec_started_ends_with_its_container = processes::outlived;
    "hostpath-untyped-missing.yaml": a_missing_host_path_is_made = told::missing_host_path;
    "https-probe.yaml": plain_http_is_not_ready_by_https = told::plain_http;
    "hung-fuse-mount-hangs-create.sh": a_hung_mount_holds_up_no_create = kubelet::hung_create;
    "hung-fuse-mount-hides-a-dead-pet.sh": a_hung_mount_hides_no_dead_pet = kubelet::hung_end;
    "json-stream.sh": json_objects_follow_each_other = told::json_stream;
    "kill-pid-1.yaml": a_signal_to_process_1_reaches_the_main_process = processes::signalled;
    "killed-runner-holds-supervisor.sh": a_killed_runner_holds_no_other_set_up = trust::killed_runner;
    "logs-follow-completed-pod.yaml": a_followed_log_ends_with_its_pod = told::completed_pod;
    "logs-follow-repeats-at-end.sh": a_followed_log_is_printed_once = told::rotated_log;
    "missing-tmpdir-takes-isolation-away.sh": isolation_needs_no_tmpdir = kubelet::missing_tmpdir;
    "network-process-stays-after-thread-limit.sh": a_network_of_no_pet_ends = kubelet::thread_limit;
    "no-dns-after-supervisor-was-restarted.sh": a_new_supervisor_serves_names = kubelet::no_dns;
    "one-damaged-pod-json-stops-all.sh": a_damaged_record_costs_its_pod_alone = trust::damaged_record;
    "orphans-hold-stop.yaml": children_of_the_main_process_hold_no_stop = kubelet::orphans;
    "petset-program-removed.sh": pets_get_petset_though_its_file_is_gone = kubelet::removed_program;
    "poststart-said-not-started.yaml": a_hook_that_runs_is_named = told::post_start;
    "probe-path-fragment.yaml": a_fragment_is_not_sent = told::fragment;
    "probe-reason.yaml": what_a_probe_said_is_told = told::probe_reason;
    "proc-1-fd-1.yaml": the_output_of_process_1_is_the_log = processes::written_to;
    "redirect-network-path.yaml": a_path_with_a_host_is_another_host = told::other_host;
    "removed-empty-wanted-folder-deafens-supervisor.sh": folders_that_were_removed_are_watched_anew = kubelet::empty_folders;
    "removed-seen-ends-names-in-pets.sh": what_was_observed_is_made_again = kubelet::removed_seen;
    "root-locks-user-out.sh": root_leaves_a_users_state_alone = users::locked_out;
    "secret-default-mode.yaml": a_secret_has_the_mode_of_its_manifest = volumes::secret_mode;
    "shared-process-space.yaml": containers_do_not_reach_each_others_processes = processes::unseen;
    "stop-on-full-disk-never-heals.sh": all_stops_on_a_full_disk = trust::full_disk;
    "stop-waits-for-nobody.yaml": a_stop_does_not_wait_for_nobody = processes::waited_for;
    "terminal-stays-raw-after-term.sh": a_signal_leaves_the_terminal_as_it_was = processes::given_back;
    "termination-message.sh": a_termination_message_is_shown = volumes::termination_message;
    "too-long-variable-is-not-named.sh": a_long_variable_is_named = told::long_variable;
    "two-sets-one-claim.sh": a_claim_of_two_sets_stays_with_the_other = volumes::shared_claim;
    "watch-limit-ends-with-bare-words.sh": without_a_watch_petset_looks_now_and_then = kubelet::no_watch;
    "wrong-container-named.yaml": the_container_that_halts_is_named = told::halting_container;
}

/// Files that are not run yet, each with the reason.
const NOT_BUILT: &[(&str, &str)] = &[
    (
        "abs-path-probe.yaml",
        "programs are not where the image has them",
    ),
    ("alpine-sh.yaml", "every image has the host's shell"),
    (
        "bitnami-as-plain.yaml",
        "images of another maker are run as the plain ones",
    ),
    (
        "docker-entrypoint.yaml",
        "the scripts of images are not on PATH",
    ),
    (
        "first-argument.yaml",
        "options of petset's own come before those of the manifest",
    ),
];

/// A file of the folder, and a private petset to try it with.
struct Case {
    text: String,
    sandbox: Sandbox,
}

impl Case {
    /// Returns the case of a file, or says that there is no folder.
    fn find(file: &str) -> Option<Self> {
        let path = folder()?.join(file);
        let text = fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let sandbox = Sandbox::new();
        Some(Self { text, sandbox })
    }

    /// Runs `petset create` on the file with these options.
    fn create(&self, options: &str) -> Outcome {
        self.create_changed(&self.text, options)
    }

    /// Does the same with a changed text of the file.
    fn create_changed(&self, text: &str, options: &str) -> Outcome {
        let file = self.sandbox.manifest("case.yaml", text);
        self.sandbox.run(&format!("create -f {file} {options}"))
    }

    /// Runs a script, whose `petset` is the one under test, with the level of isolation under test
    /// in every state directory that it makes.
    fn script(&self, text: &str) -> Outcome {
        let folder = self.sandbox.scratch().join("bin");
        fs::create_dir_all(&folder).unwrap();
        let program = env!("CARGO_BIN_EXE_petset");
        let level = if support::is_full() { "full" } else { "none" };
        let start = format!(
            "#!/bin/sh\nsettings=$PETSET_STATE_DIR/petset.toml\nmkdir -p -m 700 \
             \"$PETSET_STATE_DIR\"\n[ -e \"$settings\" ] || echo 'isolation = \"{level}\"' > \
             \"$settings\"\nexec {program} \"$@\"\n"
        );
        fs::write(folder.join("petset"), start).unwrap();
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.join("petset"), executable).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        self.sandbox.place(&mut command);
        let path = env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", folder.display()));
        let running = self.sandbox.start_command(&mut command);
        self.sandbox.finish("(script)", running)
    }

    /// Returns the here-document of the script that ends with this line.
    fn here_document(&self, end: &str) -> String {
        let lines = self.text.lines();
        let begun = lines.skip_while(|line| !line.ends_with(&format!("<<'{end}'")));
        let inner = begun.skip(1).take_while(|line| *line != end);
        inner.map(|line| format!("{line}\n")).collect()
    }
}

/// Returns the folder of inputs that failed once, which lies beside the project.
fn folder() -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let above = project.ancestors().skip(1).take(2);
    let mut folders = above.map(|above| above.join("shared/cases"));
    let found = folders.find(|folder| folder.is_dir());
    if found.is_none() {
        let required = env::var("PETSET_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|name| name.trim() == "cases"),
            "PETSET_TEST_REQUIRE demands cases, but there is no ../shared/cases"
        );
        support::skipped("there is no ../shared/cases, so no input of it is run");
    }
    found
}

#[test]
fn every_file_of_the_folder_is_run_or_listed_with_the_reason_why_not() {
    let Some(folder) = folder() else { return };
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = names.filter(|name| name != "README.md").collect();
    let left = NOT_BUILT.iter().map(|(file, _)| *file);
    let mut known = BTreeSet::new();
    for file in RUN.iter().copied().chain(left) {
        assert!(known.insert(file.to_owned()), "{file} is listed twice");
    }
    assert_eq!(there, known);
}
