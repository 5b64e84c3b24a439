//! `local-cloud up`: the cloud on this machine, until Ctrl-C.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use local_cloud::{Cloud, Options, StateFolder};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// AWS on one machine, with the project's functions deployed.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the cloud, prints its addresses and stays until Ctrl-C.
    Up {
        /// Root of the project.
        #[arg(long, default_value = ".")]
        project_root: PathBuf,
        /// Where the programs of the functions and of the model are; beside this one if left out.
        #[arg(long)]
        bin_dir: Option<PathBuf>,
        /// Where the cloud keeps its state; a folder that is removed at the end if left out.
        #[arg(long)]
        state_dir: Option<PathBuf>,
        /// `dev`, `staging` or `prod`.
        #[arg(long, default_value = "dev")]
        environment: String,
        /// A function's variable set otherwise than in `infra/functions.json`: `FUNCTION.NAME=VALUE`.
        #[arg(long = "set", value_parser = variable)]
        set: Vec<Variable>,
        /// Print the keys of a session of this role as well, as `ROLE_AWS_…`: to try what it may do.
        #[arg(long)]
        role: Option<String>,
    },
}

/// Function, name and value.
type Variable = (String, String, String);

fn variable(text: &str) -> anyhow::Result<Variable> {
    let parts = text.split_once('=').and_then(|(place, value)| {
        let (function, name) = place.split_once('.')?;
        Some((function.to_owned(), name.to_owned(), value.to_owned()))
    });
    parts.context("FUNCTION.NAME=VALUE expected")
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let Command::Up {
        project_root,
        bin_dir,
        state_dir,
        environment,
        set,
        role,
    } = Arguments::parse().command;
    let bin_dir = match bin_dir {
        Some(bin_dir) => bin_dir,
        None => std::env::current_exe()?
            .parent()
            .context("the program's folder")?
            .to_owned(),
    };
    let temporary = StateFolder::new().context("a folder for the state")?;
    let state_dir = state_dir.unwrap_or_else(|| temporary.path().to_owned());
    let mut options = Options::new(&project_root, &state_dir, &bin_dir);
    options.environment = environment;
    for (function, name, value) in set {
        let variables = options.overrides.entry(function).or_default();
        variables.insert(name, value);
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A signal while the cloud starts ends what has been started, by dropping it.
    let cloud = tokio::select! {
        cloud = start(options, &bin_dir) => cloud?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    for export in cloud.exports() {
        println!("{export}");
    }
    if let Some(role) = role {
        print_role(&cloud, &role).await?;
    }
    eprintln!("ready; Ctrl-C stops it");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    cloud.stop().await;
    Ok(())
}

async fn start(options: Options, bin_dir: &Path) -> anyhow::Result<Cloud> {
    let cloud = Cloud::start(options).await?;
    cloud.push_built_images(bin_dir).await?;
    Ok(cloud)
}

/// A role's keys in the same form, for whoever takes them over in the place of the root's.
async fn print_role(cloud: &Cloud, role: &str) -> anyhow::Result<()> {
    let keys = cloud.identity().assume_role(role).await?;
    for (name, value) in [
        ("ACCESS_KEY_ID", keys.access_key_id),
        ("SECRET_ACCESS_KEY", keys.secret_access_key),
        ("SESSION_TOKEN", keys.session_token.unwrap_or_default()),
    ] {
        println!("export ROLE_AWS_{name}={value}");
    }
    Ok(())
}
