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
    },
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
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A signal while the cloud starts ends what has been started, by dropping it.
    let cloud = tokio::select! {
        cloud = start(options, &bin_dir) => cloud?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    print(&cloud);
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

/// Lines that a shell can take over: `export NAME=value`.
fn print(cloud: &Cloud) {
    let addresses = cloud.addresses();
    let place = cloud.place();
    for (name, value) in [
        ("AWS_ENDPOINT_URL", addresses.aws.as_str()),
        ("AWS_ENDPOINT_URL_SAGEMAKER", &addresses.sagemaker),
        ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", &addresses.sagemaker),
        ("AWS_ENDPOINT_URL_ECR", &addresses.ecr),
        ("AWS_ENDPOINT_URL_CLOUDWATCH", &addresses.cloudwatch),
        ("AWS_ENDPOINT_URL_EKS", &addresses.eks),
        ("AWS_REGION", &place.region),
        ("AWS_DEFAULT_REGION", &place.region),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("SERVICE_URL", &addresses.service),
        ("DATA_BUCKET", &place.data_bucket()),
        ("ARTIFACTS_BUCKET", &place.artifacts_bucket()),
    ] {
        println!("export {name}={value}");
    }
}
