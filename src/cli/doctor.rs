//! `petset doctor`

mod finding;
mod machine;
mod pets;
mod state;
mod state_dir;

use clap::{Args as ClapArgs, ValueEnum};

use super::shared::exit::PassedThrough;
use super::shared::global::Global;
use super::shared::render;
use crate::problem::Result;
use finding::{CheckResult, Finding};
use state_dir::StateDir;

/// Check that this machine and the state directory can run pets
///
/// The checks write files, take locks and bind addresses, and clean up afterwards. The exit code is
/// 1 if anything is broken.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset doctor
  petset doctor -o json")]
pub(crate) struct Args {
    /// Output format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<FindingFormat>,
}

/// The output formats of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FindingFormat {
    /// A list of objects
    Json,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let dir = StateDir::new(global)?;
    let mut findings = state::findings(&dir);
    findings.extend(pets::findings(&dir));
    findings.extend(machine::findings(&dir));
    match args.output {
        Some(FindingFormat::Json) => render::json(&findings)?,
        None => table(&findings)?,
    }
    let broken = |finding: &Finding| finding.verdict == CheckResult::Broken;
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
