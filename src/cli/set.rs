//! `petset set`

use std::collections::BTreeMap;

use clap::{Args as ClapArgs, Subcommand};
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::shared::amend::Amendment;
use super::shared::find::find;
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::session::Session;
use super::shared::startable::MissingArgs;
use super::shared::waiting::WaitArgs;
use crate::model::object::Object;
use crate::model::{set_env, set_image};
use crate::problem::{Kind, Problem, Result};

/// Set images, variables or resources of the containers of objects
///
/// As `petset upgrade`, in kubectl's words.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Set the images of containers
    #[command(after_help = "Examples:
  petset set image deploy/front nginx=nginx:1.27
  petset set image sts/web '*=web:v2'        all its containers")]
    Image(ImageArgs),
    /// Set or remove environment variables
    #[command(after_help = "Examples:
  petset set env sts/web LOG=debug TRACE-
  petset set env sts/web --list")]
    Env(EnvArgs),
    /// Set what containers request and may use at most
    #[command(after_help = "Examples:
  petset set resources deploy/front --requests cpu=100m,memory=64Mi --limits memory=128Mi")]
    Resources(ResourceArgs),
}

#[derive(Debug, ClapArgs)]
struct ImageArgs {
    /// Objects, such as deploy/front; then CONTAINER=IMAGE
    #[arg(value_name = "OBJECT|CONTAINER=IMAGE", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    missing: MissingArgs,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, ClapArgs)]
struct ResourceArgs {
    /// Objects, such as deploy/front
    #[arg(value_name = "OBJECT", required = true)]
    objects: Vec<String>,
    /// The container, if not all
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// What it may use at most, such as memory=128Mi
    #[arg(long, value_name = "NAME=QUANTITY", value_delimiter = ',', value_parser = amount)]
    limits: Vec<(String, String)>,
    /// What it requests, such as cpu=100m
    #[arg(long, value_name = "NAME=QUANTITY", value_delimiter = ',', value_parser = amount)]
    requests: Vec<(String, String)>,
    #[command(flatten)]
    missing: MissingArgs,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, ClapArgs)]
struct EnvArgs {
    /// Objects, such as sts/web; then NAME=VALUE to set, and NAME- to remove
    #[arg(value_name = "OBJECT|NAME=VALUE|NAME-", required = true)]
    words: Vec<String>,
    /// The container, if not all
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// List the variables, and change nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    missing: MissingArgs,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.what {
        What::Image(args) => image(session, args),
        What::Env(args) => env(session, args),
        What::Resources(args) => resources(session, args),
    }
}

/// Splits words into those that name objects and the changes that follow.
fn split(words: &[String], is_change: impl Fn(&str) -> bool) -> (&[String], &[String]) {
    let first = words.iter().position(|word| is_change(word));
    words.split_at(first.unwrap_or(words.len()))
}

fn image(session: &Session, args: &ImageArgs) -> Result<()> {
    let (objects, images) = split(&args.words, |word| word.contains('='));
    if images.is_empty() {
        let message = "no image is given";
        let hint = "write CONTAINER=IMAGE after the object";
        return Err(Problem::invalid(message).hint(hint).into());
    }
    let found = find(session, "set image", objects)?;
    let change = |pod: &mut PodSpec| images.iter().try_for_each(|wish| put_image(pod, wish));
    let amendment = Amendment::Pods(&change);
    if args.dry_run.is_on() {
        return session.preview_amended(&found, amendment, &args.dry_run, "image updated");
    }
    let amended = session.amend("set image", &found, amendment, args.missing)?;
    session.conclude(amended, ("image updated", None), &args.wait)
}

fn put_image(pod: &mut PodSpec, wish: &str) -> Result<(), Problem> {
    let inits = pod.init_containers.iter().flatten();
    let names = inits.chain(&pod.containers).map(|it| it.name.clone());
    let names: Vec<String> = names.collect();
    let Some((wished, image)) = wish.split_once('=') else {
        let message = format!("{wish:?} is not CONTAINER=IMAGE");
        return Err(Problem::invalid(message));
    };
    let chosen = names
        .iter()
        .filter(|name| wished == "*" || wished == **name);
    let wishes: Vec<String> = chosen.map(|name| format!("{name}={image}")).collect();
    if wishes.is_empty() {
        return Err(no_container(wished, &names));
    }
    let mut wishes = wishes.iter();
    wishes.try_for_each(|wish| set_image(pod, wish).map(drop))
}

fn no_container(name: &str, there_are: &[String]) -> Problem {
    let message = format!("unable to find container named {name:?}");
    let hint = format!("there are {}", there_are.join(", "));
    Problem::new(Kind::NotFound, message).hint(hint)
}

fn resources(session: &Session, args: &ResourceArgs) -> Result<()> {
    if args.limits.is_empty() && args.requests.is_empty() {
        let message = "you must specify an update to requests or limits";
        let hint = "write --requests cpu=100m,memory=64Mi or --limits";
        return Err(Problem::invalid(message).hint(hint).into());
    }
    let found = find(session, "set resources", &args.objects)?;
    let change = |pod: &mut PodSpec| {
        let names: Vec<String> = pod.containers.iter().map(|it| it.name.clone()).collect();
        let chosen = |name: &String| args.container.as_ref().is_none_or(|it| it == name);
        if let Some(wished) = args.container.as_ref().filter(|it| !names.contains(it)) {
            return Err(no_container(wished, &names));
        }
        for container in pod.containers.iter_mut().filter(|it| chosen(&it.name)) {
            let resources = container.resources.get_or_insert_default();
            for (given, place) in [
                (&args.limits, &mut resources.limits),
                (&args.requests, &mut resources.requests),
            ] {
                let given = given
                    .iter()
                    .map(|(name, amount)| (name.clone(), Quantity(amount.clone())));
                place.get_or_insert_default().extend(given);
                if place.as_ref().is_some_and(BTreeMap::is_empty) {
                    *place = None;
                }
            }
        }
        Ok(())
    };
    let amendment = Amendment::Pods(&change);
    let done = "resource requirements updated";
    if args.dry_run.is_on() {
        return session.preview_amended(&found, amendment, &args.dry_run, done);
    }
    let amended = session.amend("set resources", &found, amendment, args.missing)?;
    session.conclude(amended, (done, None), &args.wait)
}

/// Reads `NAME=QUANTITY`.
fn amount(word: &str) -> Result<(String, String), Problem> {
    let pair = word.split_once('=');
    let pair = pair.filter(|(name, amount)| !name.is_empty() && !amount.is_empty());
    let fault = || Problem::invalid(format!("{word:?} is not NAME=QUANTITY, such as cpu=100m"));
    pair.map(|(name, amount)| (name.to_owned(), amount.to_owned()))
        .ok_or_else(fault)
}

fn env(session: &Session, args: &EnvArgs) -> Result<()> {
    let is_change = |word: &str| word.contains('=') || word.ends_with('-');
    let (objects, variables) = split(&args.words, is_change);
    let found = find(session, "set env", objects)?;
    if args.list {
        return found.iter().try_for_each(list);
    }
    if variables.is_empty() {
        let message = "at least one environment variable must be provided";
        let hint = "write NAME=VALUE or NAME- after the object, or --list";
        return Err(Problem::invalid(message).hint(hint).into());
    }
    let container = args.container.as_deref();
    let change = |pod: &mut PodSpec| {
        let mut variables = variables.iter();
        variables.try_for_each(|wish| set_env(pod, container, wish).map(drop))
    };
    let amendment = Amendment::Pods(&change);
    if args.dry_run.is_on() {
        return session.preview_amended(&found, amendment, &args.dry_run, "env updated");
    }
    let amended = session.amend("set env", &found, amendment, args.missing)?;
    session.conclude(amended, ("env updated", None), &args.wait)
}

fn list(object: &Object) -> Result<()> {
    let pod = object.pod_spec();
    for container in pod.iter().flat_map(|pod| &pod.containers) {
        let title = object.full_name();
        render::line(&format!("# {title}, container {}", container.name))?;
        for variable in container.env.iter().flatten() {
            let line = match (&variable.value, &variable.value_from) {
                (_, Some(_)) => format!("# {} from elsewhere", variable.name),
                (value, None) => {
                    format!("{}={}", variable.name, value.as_deref().unwrap_or_default())
                }
            };
            render::line(&line)?;
        }
    }
    Ok(())
}
