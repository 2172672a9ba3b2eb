//! `petset doctor`

mod machine;
mod pets;
mod state;

use std::fmt;

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;

use super::Global;
use super::shared::render;
use super::shared::session::{PassedThrough, root_of};
use crate::problem::Result;
use crate::store::{Layout, Settings, Store, read};

/// Check that this machine and the state directory are fit to run pets
///
/// Everything is tried for real: files are written, locks taken, addresses bound, and what was
/// tried is taken away again. The exit code is 1 if anything is broken.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset doctor
  petset doctor -o json")]
pub(crate) struct Args {
    /// How to print the findings
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
}

/// The forms that `-o` offers for findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A list of objects
    Json,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    Ok,
    /// Worth knowing; pets run nevertheless.
    Note,
    Broken,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Broken => "broken",
        })
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    result: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

impl Finding {
    fn ok(check: &'static str, result: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            result: result.into(),
            advice: String::new(),
        }
    }

    fn note(check: &'static str, result: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Note,
            advice: advice.into(),
            ..Self::ok(check, result)
        }
    }

    fn broken(check: &'static str, result: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Broken,
            ..Self::note(check, result, advice)
        }
    }
}

/// What is looked at. Unlike a session, it works where the state directory does not.
struct Patient {
    layout: Layout,
    settings: Settings,
    /// Why no other command can use the state directory.
    fault: Option<anyhow::Error>,
}

impl Patient {
    fn new(global: &Global) -> Result<Self> {
        let layout = Layout::new(root_of(global)?);
        let fault = Store::open(layout.root()).err();
        let text = read(&layout.settings()).ok().flatten().unwrap_or_default();
        Ok(Self {
            settings: Settings::parse(&text).unwrap_or_default(),
            layout,
            fault,
        })
    }

    fn exists(&self) -> bool {
        self.layout.root().is_dir()
    }
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let patient = Patient::new(global)?;
    let mut findings = state::findings(&patient);
    findings.extend(pets::findings(&patient));
    findings.extend(machine::findings(&patient));
    match args.output {
        Some(Form::Json) => render::json(&findings)?,
        None => table(&findings)?,
    }
    let broken = |finding: &Finding| finding.verdict == Verdict::Broken;
    if findings.iter().any(broken) {
        return Err(PassedThrough(1).into());
    }
    Ok(())
}

fn table(findings: &[Finding]) -> Result<()> {
    let row = |finding: &Finding| {
        let result = format!("{}: {}", finding.verdict, finding.result);
        vec![finding.check.to_owned(), result, finding.advice.clone()]
    };
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    render::table(&["CHECK", "RESULT", "ADVICE"], &rows)
}
