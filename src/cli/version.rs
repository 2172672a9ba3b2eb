//! `petset version`

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;

use super::shared::render;
use crate::problem::Result;

/// Print the version of petset, and that of Kubernetes whose objects it reads
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Output format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Form>,
    /// Accepted for those who are used to it: there is no server
    #[arg(long, hide = true)]
    client: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Json,
    Yaml,
}

#[derive(Debug, Serialize)]
struct Versions {
    kubernetes: &'static str,
    petset: &'static str,
}

const VERSIONS: Versions = Versions {
    kubernetes: "v1.36",
    petset: env!("CARGO_PKG_VERSION"),
};

pub(crate) fn run(args: &Args) -> Result<()> {
    match args.output {
        Some(Form::Json) => render::json(&VERSIONS),
        Some(Form::Yaml) => render::yaml(&VERSIONS),
        None => {
            let Versions { kubernetes, petset } = VERSIONS;
            render::line(&format!("petset {petset}"))?;
            render::line(&format!("Kubernetes objects as of {kubernetes}"))
        }
    }
}
