//! `petset image explain`

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;

use super::programs::{ProgramPath, ask, program, program_text, programs, source_text, verdict};
use crate::cli::shared::render;
use crate::cli::shared::session::Session;
use crate::model::image::{Explained, ImageLaunch};
use crate::problem::Result;
use crate::store;

/// Explain how an image reference is resolved, step by step
///
/// The exit code is 3 if the image is unknown, and 5 if its programs are missing.
///
/// An entry of images.toml, such as ["mydb:{tag}"], can have these keys. The entrypoint is one of
/// `entrypoint`, `program` (used only if the first argument is an option) and `script` (run by sh).
/// `args` are the default arguments. `like` names another entry that provides all other keys.
/// `path` and `search` are directories put first and last on PATH. `needs` lists further programs.
/// `env` has environment variables. `cwd` is a working directory of this machine, `workdir` one of
/// the image. `user` is the user that the entrypoint switches to if it starts as root. `data` lists
/// directories that are empty at first. `shell` is the program for /bin/sh. `bin` has scripts by
/// name, and `files` has texts by path. `package` is the Debian package.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset image explain redis:7
  petset image explain k8s.gcr.io/nginx-slim:0.8 -o json
  petset image explain mydb:v2 -- --port 4000")]
pub(super) struct Args {
    /// Image reference of a manifest
    #[arg(value_name = "REF")]
    image: String,
    /// Arguments of the container, as `args` of a manifest
    #[arg(last = true, value_name = "ARG")]
    args: Vec<String>,
    /// Command of the container, as `command` of a manifest; may be repeated
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    command: Vec<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<ExplanationFormat>,
}

/// The output formats of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExplanationFormat {
    /// As JSON
    Json,
    /// As YAML
    Yaml,
}

/// An explanation as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    image: String,
    name: String,
    tag: String,
    looked: Vec<LookedIn>,
    programs: Vec<ProgramPath>,
    entrypoint: Vec<String>,
    args: Vec<String>,
    argv: Vec<String>,
    program: Option<PathBuf>,
    path: Vec<PathBuf>,
    env: Vec<String>,
    user: Option<String>,
    data: Vec<String>,
    working_dir: Option<String>,
    shell: Option<PathBuf>,
    scripts: Vec<String>,
    files: Vec<String>,
    package: Option<String>,
    notes: Vec<String>,
    fault: Option<String>,
}

/// A file in which the reference was looked up.
#[derive(Debug, Serialize)]
struct LookedIn {
    file: String,
    entry: Option<String>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<()> {
    let catalogue = store::catalogue(session.store.layout(), &program())?;
    let explained = ask(|disk| catalogue.explain(&args.image, &args.command, &args.args, disk))?;
    let page = page(&args.image, &explained);
    match args.output {
        Some(ExplanationFormat::Json) => render::json(&page),
        Some(ExplanationFormat::Yaml) => render::yaml(&page),
        None => render::text(&page.lines()),
    }?;
    verdict(&args.image, &explained)
}

fn page(image: &str, explained: &Explained) -> Explanation {
    let none = ImageLaunch::default();
    let launch = explained.launch.as_ref().unwrap_or(&none);
    let entry = explained.entry.as_ref();
    let names = |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect();
    let cwd = launch.cwd.as_ref().map(|cwd| cwd.display().to_string());
    let looked = explained.looked.iter().map(|looked| LookedIn {
        file: source_text(looked.file.as_deref()),
        entry: looked.key.clone(),
    });
    Explanation {
        image: image.to_owned(),
        name: explained.name.clone(),
        tag: explained.tag.clone(),
        looked: looked.collect(),
        programs: entry.map(programs).unwrap_or_default(),
        entrypoint: entry.map(|entry| entry.starts.clone()).unwrap_or_default(),
        args: entry.map(|entry| entry.args.clone()).unwrap_or_default(),
        argv: launch.argv.clone(),
        program: explained.program.clone(),
        path: [&launch.path[..], &launch.search].concat(),
        env: launch
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        user: entry.and_then(|entry| entry.user.clone()),
        data: entry.map(|entry| entry.data.clone()).unwrap_or_default(),
        working_dir: cwd.or_else(|| launch.workdir.clone()),
        shell: launch.shell.clone(),
        scripts: names(&launch.bin),
        files: names(&launch.files),
        package: entry.and_then(|entry| entry.package.clone()),
        notes: launch.notes.clone(),
        fault: explained
            .launch
            .as_ref()
            .err()
            .map(|fault| fault.message.clone()),
    }
}

impl Explanation {
    /// Lays the explanation out as `describe` does: a heading, then a value.
    fn lines(&self) -> String {
        let mut lines = String::new();
        let mut say = |heading: &str, text: &str| {
            if !text.is_empty() {
                lines.push_str(&format!("{:<14}{}\n", format!("{heading}:"), text));
            }
        };
        say("Image", &self.image);
        say("Name", &format!("{}, tag {}", self.name, self.tag));
        for step in &self.looked {
            let found = match &step.entry {
                Some(key) => format!("{}: entry [{key:?}]", step.file),
                None => format!("{}: no entry", step.file),
            };
            say("Looked in", &found);
        }
        say("Entrypoint", &self.entrypoint());
        say("Arguments", &quoted(&self.args));
        for program in &self.programs {
            let place = program_text(program);
            say("Needs", &place);
        }
        let program = self.program.as_ref().map(|path| path.display().to_string());
        say("Runs", &program.unwrap_or_default());
        say("As user", self.user.as_deref().unwrap_or_default());
        let path: Vec<String> = self
            .path
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        say("Also on PATH", &path.join(":"));
        say("Environment", &self.env.join(", "));
        say("Data", &self.data.join(", "));
        say(
            "Working dir",
            self.working_dir.as_deref().unwrap_or_default(),
        );
        let shell = self.shell.as_ref().map(|path| path.display().to_string());
        say("/bin/sh is", &shell.unwrap_or_default());
        say("Scripts", &self.scripts.join(", "));
        say("Files", &self.files.join(", "));
        say("Package", self.package.as_deref().unwrap_or_default());
        for note in &self.notes {
            say("Note", note);
        }
        lines
    }

    fn entrypoint(&self) -> String {
        let scripted = self.argv.first().is_some_and(|first| first == "sh");
        match self.entrypoint.is_empty() {
            true if scripted && self.argv.len() > 3 => "a script of the catalogue".to_owned(),
            _ => quoted(&self.entrypoint),
        }
    }
}

fn quoted(words: &[String]) -> String {
    let cut = |word: &String| match word.contains('\n') {
        true => "...".to_owned(),
        false => word.clone(),
    };
    let words: Vec<String> = words.iter().map(cut).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}
