//! A private petset for one test: its own state directory, its own journal, and nothing left
//! behind when it is dropped.
//!
//! Commands run in `testdata/`, with `testdata/programs` first on the pets' PATH. Whatever is
//! waited for has a time limit, and whatever fails shows the whole session so far.

#![allow(
    dead_code,
    reason = "each test program uses its own part of the support"
)]

pub(crate) mod checks;
mod outcome;
pub(crate) mod processes;
pub(crate) mod terminal;

use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use outcome::Outcome;

/// How long anything may take that is bound to happen; machines that run tests can be slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A command that takes longer hangs.
const HANG: Duration = Duration::from_secs(90);

/// Waits until a condition holds; returns whether it did within the limit.
#[must_use]
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool, limit: Duration) -> bool {
    let begin = Instant::now();
    while !condition() {
        if begin.elapsed() >= limit {
            return condition();
        }
        // What takes long is looked at less often.
        let pause = begin.elapsed() / 8;
        std::thread::sleep(pause.clamp(Duration::from_millis(5), Duration::from_millis(25)));
    }
    true
}

/// Removes a file or a whole folder, also one in which petset makes something meanwhile, as it may
/// whenever it runs.
pub(crate) fn remove(path: &Path) {
    if !path.is_dir() {
        return fs::remove_file(path).unwrap();
    }
    let mut removed = Ok(());
    let is_done = || {
        removed = fs::remove_dir_all(path);
        !matches!(&removed, Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty)
    };
    let _ = wait_until(is_done, PATIENCE);
    removed.unwrap();
}

/// The level of isolation that the tests are to run under: auto, full or none.
fn asked_level() -> String {
    std::env::var("PETSET_TEST_ISOLATION").unwrap_or_else(|_| "auto".to_owned())
}

/// Whether pets are isolated unless a test asks for something else.
pub(crate) fn is_full() -> bool {
    static FULL: OnceLock<bool> = OnceLock::new();
    *FULL.get_or_init(|| match asked_level().as_str() {
        "full" => true,
        "none" => false,
        _ => Sandbox::empty().diagnosis("isolation")["verdict"] == "ok",
    })
}

/// A state directory, and all that runs for it.
pub(crate) struct Sandbox {
    /// Removed at last, with all that is in it.
    _dir: tempfile::TempDir,
    root: PathBuf,
    variables: Vec<(String, String)>,
    /// Everything that was said so far.
    session: RefCell<String>,
}

impl Sandbox {
    /// Makes one whose pets are isolated as `PETSET_TEST_ISOLATION` says (auto, full or none), and
    /// share the scratch directory with the test.
    pub(crate) fn new() -> Self {
        let sandbox = Self::empty();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(sandbox.state())
            .unwrap();
        sandbox.settings("");
        sandbox
    }

    /// Makes one in which there is no state directory yet.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("petset-test-")
            .tempdir()
            .unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("tmp")).unwrap();
        Self {
            _dir: dir,
            root,
            variables: Vec::new(),
            session: RefCell::default(),
        }
    }

    /// Writes the settings: what every sandbox has, and this.
    pub(crate) fn settings(&self, more: &str) {
        let scratch = self.scratch();
        let level = asked_level();
        let level = match more.contains("isolation =") {
            true => String::new(),
            false => format!("isolation = {level:?}\n"),
        };
        let text = format!("shared-paths = [{scratch:?}]\n{level}{more}");
        fs::write(self.file("petset.toml"), text).unwrap();
    }

    /// What `doctor` finds of a part of the machine.
    pub(crate) fn diagnosis(&self, check: &str) -> Value {
        let output = self.command("doctor -o json").output().unwrap();
        let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut findings = findings.as_array().unwrap().iter();
        findings.find(|it| it["check"] == check).unwrap().clone()
    }

    /// Gives every command that follows a variable of its own.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The state directory; petset makes it.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// A file below the state directory.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.state().join(path)
    }

    /// A directory that is gone with the sandbox: TMPDIR of every command and pet.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Writes a manifest and returns its path.
    pub(crate) fn manifest(&self, name: &str, text: &str) -> String {
        let path = self.scratch().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Prepares petset with these words, in an environment of its own.
    pub(crate) fn command(&self, words: &str) -> Command {
        let words = shlex::split(words).unwrap();
        self.command_of(&words)
    }

    /// Does the same with words that need no quoting.
    pub(crate) fn command_of<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_petset"));
        command.args(words);
        self.place(&mut command);
        command
    }

    /// Puts any command into the sandbox's directory and environment.
    pub(crate) fn place(&self, command: &mut Command) {
        let testdata = testdata();
        let path = format!(
            "{}:{}",
            testdata.join("programs").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.scratch())
            .env("TMPDIR", self.scratch())
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .env("PETSET_STATE_DIR", self.state())
            .env("PETSET_BLOCKS_DIR", processes::blocks())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(testdata)
            .stdin(Stdio::null());
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, words: &str) -> Outcome {
        self.finish(words, self.start(words))
    }

    /// Runs a command that has to succeed.
    #[track_caller]
    pub(crate) fn ok(&self, words: &str) -> Outcome {
        let outcome = self.run(words);
        if outcome.code != 0 {
            self.fail(&format!("`petset {words}` was to succeed"));
        }
        outcome
    }

    /// Runs a command that has to fail with this exit code.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &str) -> Outcome {
        let outcome = self.run(words);
        if outcome.code != code {
            self.fail(&format!(
                "`petset {words}` was to fail with exit code {code}"
            ));
        }
        outcome
    }

    /// Starts a command in the background.
    pub(crate) fn start(&self, words: &str) -> Background {
        let mut command = self.command(words);
        self.start_command(&mut command)
    }

    /// Starts any command in the background.
    pub(crate) fn start_command(&self, command: &mut Command) -> Background {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Background(Some(command.spawn().unwrap()))
    }

    /// Waits for the end of a command in the background.
    #[track_caller]
    pub(crate) fn finish(&self, words: &str, command: Background) -> Outcome {
        let (outcome, hung) = outcome::collect(words, command.take(), HANG);
        self.session.borrow_mut().push_str(&outcome.transcript());
        if hung {
            self.fail(&format!(
                "`petset {words}` hangs, or something holds its output"
            ));
        }
        outcome.hiding(&self.state())
    }

    /// Waits until a condition holds.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, condition: impl FnMut() -> bool) {
        if !wait_until(condition, PATIENCE) {
            self.fail(&format!("it never came true that {what}"));
        }
    }

    /// Waits until `petset WORDS` succeeds and says something.
    #[track_caller]
    pub(crate) fn until_says(&self, words: &str, text: &str) {
        let holds = || {
            let output = self.command(words).output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains(text)
        };
        self.until(&format!("`petset {words}` says {text:?}"), holds);
    }

    /// Waits until a pet has this STATUS.
    #[track_caller]
    pub(crate) fn until_pet_is(&self, pet: &str, status: &str) {
        let what = format!("{pet} is {status}");
        self.until(&what, || self.status_of(pet).as_deref() == Some(status));
    }

    /// The STATUS of a pet as `get pods` shows it.
    pub(crate) fn status_of(&self, pet: &str) -> Option<String> {
        let output = self.command("get pods --no-headers").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let row = text
            .lines()
            .find(|row| row.starts_with(&format!("{pet} ")))?;
        row.split_whitespace().nth(2).map(str::to_owned)
    }

    /// Names the pets that there are.
    pub(crate) fn pets(&self) -> Vec<String> {
        let output = self.command("get pods -o name").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .map(|line| line.trim_start_matches("pod/").to_owned())
            .collect()
    }

    /// A pet as `get -o json` shows it.
    pub(crate) fn pod(&self, pet: &str) -> Value {
        let output = self.command(&format!("get pod {pet} -o json")).output();
        serde_json::from_slice(&output.unwrap().stdout).unwrap_or_default()
    }

    /// What programs wrote to the journal: `testdata/programs` tell there what happens.
    pub(crate) fn journal(&self) -> Vec<String> {
        let text = fs::read_to_string(self.scratch().join("journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until the journal holds these lines, in this order, with others between them.
    #[track_caller]
    pub(crate) fn journal_says(&self, lines: &[&str]) {
        let what = format!("the journal says {lines:?}");
        self.until(&what, || {
            let journal = self.journal();
            let mut rest = journal.iter();
            lines.iter().all(|line| rest.any(|it| it == line))
        });
    }

    /// Requires that the journal does not hold this line.
    #[track_caller]
    pub(crate) fn journal_lacks(&self, line: &str) {
        if self.journal().iter().any(|it| it == line) {
            self.fail(&format!("the journal was not to say {line:?}"));
        }
    }

    /// How often the journal holds this line.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.journal().iter().filter(|it| *it == line).count()
    }

    /// Waits until the state directory's events hold these texts, in this order.
    #[track_caller]
    pub(crate) fn events_say(&self, texts: &[&str]) {
        let what = format!("the events say {texts:?}");
        self.until(&what, || {
            let output = self.command("events").output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let mut rest = text.lines();
            texts.iter().all(|text| rest.any(|it| it.contains(text)))
        });
    }

    /// Makes a file of this name in the scratch directory: `programs/wait-for` waits for it.
    pub(crate) fn open(&self, word: &str) {
        fs::write(self.scratch().join(word), "").unwrap();
    }

    /// Takes the word back.
    pub(crate) fn shut(&self, word: &str) {
        fs::remove_file(self.scratch().join(word)).unwrap();
    }

    /// Waits until the daemon of `programs/daemonizes` runs.
    #[track_caller]
    pub(crate) fn until_daemon_runs(&self) {
        self.until("the daemon runs", || !self.daemons().is_empty());
    }

    /// The pids of what `programs/daemonizes` left running.
    pub(crate) fn daemons(&self) -> Vec<i32> {
        let all = self.processes().into_iter();
        let daemons = all.filter(|it| it.command.contains("sleep 0.1; done daemon "));
        daemons.map(|it| it.pid).collect()
    }

    /// Waits until neither supervisor nor runners are left.
    #[track_caller]
    pub(crate) fn assert_nothing_left_but_pets(&self) {
        self.until("no process of petset is left", || {
            !self
                .processes()
                .iter()
                .any(|it| it.command.contains("petset "))
        });
    }

    /// The supervisor's pid, while there is one.
    pub(crate) fn supervisor(&self) -> Option<i32> {
        let file = self.file("supervisor/pid");
        // One that is no file is not waited for.
        let file = Some(file).filter(|file| file.is_file())?;
        let pid = fs::read_to_string(file).ok()?;
        pid.trim()
            .parse()
            .ok()
            .filter(|pid| processes::is_alive(*pid) && processes::belongs(*pid, &self.root))
    }

    /// The process beside supervisor and runners that plays this role, while there is one.
    pub(crate) fn beside(&self, role: &str) -> Option<i32> {
        let line = format!("petset\0{role}\0{}\0", self.state().display());
        let found = processes::with_command(line.as_bytes());
        found.first().copied()
    }

    /// The pid of a pet's runner, while there is one.
    pub(crate) fn runner(&self, pet: &str) -> Option<i32> {
        processes::recorded(&self.runner_record(pet)?)
    }

    fn runner_record(&self, pet: &str) -> Option<Value> {
        let record = fs::read(self.file(&format!("pets/default/{pet}/runner.json"))).ok()?;
        serde_json::from_slice(&record).ok()
    }

    /// The pid of a pet's main process, or of the init container that was started last, while there
    /// is one.
    pub(crate) fn main(&self, pet: &str) -> Option<i32> {
        let record = self.runner_record(pet)?;
        // Init containers that have ended may be listed before it.
        processes::recorded(record["containers"].as_array()?.last()?)
    }

    /// Kills a process that has to be there, and waits until it is gone.
    #[track_caller]
    pub(crate) fn kill(&self, pid: Option<i32>) {
        let Some(pid) = pid else {
            self.fail("there was no process to kill");
        };
        processes::kill(pid);
        self.until(&format!("{pid} is dead"), || !processes::is_alive(pid));
    }

    /// Lists the processes that belong to this sandbox.
    pub(crate) fn processes(&self) -> Vec<processes::Process> {
        processes::of(&self.root)
    }

    /// Waits until no process of this sandbox is left.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        self.until("no process is left", || self.processes().is_empty());
    }

    /// Ends the test with everything that may explain why.
    #[track_caller]
    pub(crate) fn fail(&self, why: &str) -> ! {
        panic!("{why}\n{}", self.told());
    }

    /// Everything that may explain why something is as it is.
    pub(crate) fn told(&self) -> String {
        let log = fs::read_to_string(self.file("supervisor/log")).unwrap_or_default();
        let mut now = String::new();
        for words in ["get all", "describe pods", "events"] {
            let (outcome, _) = outcome::collect(words, self.start(words).take(), HANG);
            now.push_str(&outcome.transcript());
        }
        let listed = |it: &processes::Process| format!("{it} ({})", processes::state(it.pid));
        let processes: Vec<String> = self.processes().iter().map(listed).collect();
        format!(
            "--- session\n{}\n--- now\n{now}\n--- journal\n{}\n--- supervisor's log\n{log}\n--- processes\n{}",
            self.session.borrow(),
            self.journal().join("\n"),
            processes.join("\n")
        )
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        processes::end(&self.root, &self.state());
        processes::release_blocks(&self.root);
        let twice = self
            .journal()
            .iter()
            .any(|line| line.starts_with("violation"));
        assert!(
            !twice || std::thread::panicking(),
            "an identity ran twice: {:?}",
            self.journal()
        );
    }
}

/// A command that runs; one that is forgotten is killed.
pub(crate) struct Background(Option<Child>);

impl Background {
    /// Its pid.
    pub(crate) fn pid(&self) -> i32 {
        let child = self.0.as_ref().unwrap();
        i32::try_from(child.id()).unwrap()
    }

    /// Whether it runs still.
    pub(crate) fn runs(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    fn take(mut self) -> Child {
        self.0.take().unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the number of a block of addresses that no other sandbox has.
pub(crate) fn free_block(numbers: Range<u8>) -> u8 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let all: Vec<u8> = numbers.collect();
    let begin = std::process::id() as usize;
    let next = || CALLS.fetch_add(1, Ordering::Relaxed) as usize;
    let mut tried = all.iter().map(|_| all[(begin + next()) % all.len()]);
    let is_free = |number: &u8| {
        let entry = processes::blocks().join(number.to_string());
        fs::symlink_metadata(entry).is_err()
    };
    tried.find(is_free).unwrap()
}

/// The directory of manifests, programs and golden transcripts.
pub(crate) fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Returns whether the programs of a server are installed. Where they are not it says so, or fails
/// if `PETSET_TEST_REQUIRE` names the server.
pub(crate) fn is_installed(server: &str, programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where distributions put servers, which an ordinary user need not have on the PATH.
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(sbin).collect();
    let on_path = |program: &str| folders.iter().any(|dir| dir.join(program).is_file());
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| !on_path(program))
        .collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(" and ");
    let required = std::env::var("PETSET_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == server),
        "PETSET_TEST_REQUIRE demands {server}, but PATH has no {missing}"
    );
    skipped(&format!("PATH has no {missing}, so {server} is not tested"));
    false
}

/// Copies the program under test, with a few bytes more at its end. Another process does it: a
/// program that this one writes cannot be executed as long as a child that another test starts
/// has inherited the descriptor.
pub(crate) fn copy_program(to: &Path, more: &str) {
    let script = "cp \"$0\" \"$1\" && printf %s \"$2\" >>\"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_petset")]);
    assert!(command.arg(to).arg(more).status().unwrap().success());
}

/// Says why a test does nothing here.
pub(crate) fn skipped(why: &str) {
    // Not `eprintln!`, which the test harness keeps to itself where a test succeeds.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {why}\n"));
}
