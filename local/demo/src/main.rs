//! `make demo`: real data through the unmodified Lambda binaries, on this machine.

mod data;
mod defects;
mod denial;
mod endpoint;
mod house;
mod inventory;
mod play;
mod proof;
mod queues;
mod removal;
mod report;
mod scenes;
mod screen;
mod stories;
mod troubles;
mod unjudged;
mod warden;
mod weekly;
mod words;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicUsize,
};

use clap::Parser;
use local_cloud::{Cloud, Tap};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    house::{House, Open, SETTINGS},
    play::{Set, play},
    report::Report,
    screen::Screen,
};

/// Watch data become a verified release.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A CSV file of sales, plain or gzip; generated data when left out.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Leave the cloud up afterwards, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Hold the functions' grants back, each until a call is denied without it; then remove each statement of
    /// `infra/policies` in turn and see the scene that needs it stopped.
    #[arg(long, conflicts_with_all = ["keep", "data"])]
    prove_policies: bool,
    /// Of the statements, remove just every such a one.
    #[arg(long, requires = "prove_policies", default_value = "1")]
    every: NonZeroUsize,
    /// Play without one statement, `FUNCTION/SID`: a scene has to be stopped by a denial.
    #[arg(long, conflicts_with_all = ["prove_policies", "keep"])]
    without: Option<String>,
    /// Root of the project.
    #[arg(long, default_value = ".")]
    project_root: PathBuf,
    /// Folder of the report.
    #[arg(long, default_value = "target/demo")]
    output: PathBuf,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into()))
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let screen = Screen::new();
    let shown = tokio::select! {
        shown = show(&arguments, &screen) => shown,
        // Dropping the cloud stops everything that it started.
        signal = asked_to_end() => return ExitCode::from(signal),
    };
    let (passed, open) = match shown {
        Ok(shown) => shown,
        Err(error) => {
            eprintln!("demo: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(open) = open {
        // Whoever ends the stay doesn't break the demonstration off: it was shown, and ends as it did.
        if arguments.keep {
            stay(&open.cloud, &screen).await;
        }
        open.close().await;
    }
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Completes when a person or the system asks the process to end: the exit code of one that breaks off.
async fn asked_to_end() -> u8 {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => 130,
        () = terminated() => 143,
    }
}

/// Completes when the process is asked to end.
async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Whether all was as it should be, and the cloud where the demonstration was shown, which is still up.
async fn show(arguments: &Arguments, screen: &Screen) -> anyhow::Result<(bool, Option<Open>)> {
    let path = arguments.output.join("report.json");
    Report::clear(&path)?;
    let house = House::new(&arguments.project_root, arguments.data.as_deref())?;
    screen.line(&format!("Data   {}", house.uploads.origin));
    for (at, setting) in SETTINGS.split("; ").enumerate() {
        screen.line(&format!(
            "{:<7}{setting}",
            if at == 0 { "Note" } else { "" }
        ));
    }
    screen.line("       all else is as deployed");
    if let Some(statement) = &arguments.without {
        let is_stopped = removal::show(&house, screen, statement).await?;
        return Ok((is_stopped, None));
    }
    if arguments.prove_policies {
        let proved = proof::prove(&house, screen, arguments.every, &arguments.output).await?;
        return Ok((proved, None));
    }
    let (passed, open) = demonstrate(&house, screen, &path).await?;
    Ok((passed, Some(open)))
}

async fn demonstrate(house: &House, screen: &Screen, path: &Path) -> anyhow::Result<(bool, Open)> {
    let starting = screen.stage("cloud started");
    let open = house.open(None).await?;
    let cloud = &open.cloud;
    let mut tap = Tap::open(cloud).await?;
    cloud.push_built_images(&house.bins).await?;
    starting.done(&format!(
        "{} functions, each with its own role, queue and rules",
        cloud.functions().count()
    ));
    let mut report = Report::new(&house.uploads.origin);
    SETTINGS.clone_into(&mut report.settings);
    if let Some(real) = house.real_cluster(cloud) {
        screen.line(&format!("Note   {real}"));
        report.settings = format!("{SETTINGS}; {real}");
    }
    let set = Set {
        cloud,
        screen,
        uploads: &house.uploads,
        bins: &house.bins,
        is_proving: false,
        scene: &AtomicUsize::new(0),
    };
    play(&set, |_| true, &mut tap, &mut report).await;
    report.write(path)?;
    let verdict = if report.passed {
        "every scene ended as told"
    } else {
        "NOT every scene ended as told"
    };
    screen.line(&format!(
        "\n{verdict} ({:.0} s); report: {}",
        report.seconds,
        path.display()
    ));
    Ok((report.passed, open))
}

async fn stay(cloud: &Cloud, screen: &Screen) {
    screen.line("\nThe cloud stays up until Ctrl-C. For a second terminal:");
    for export in cloud.exports() {
        screen.line(&export);
    }
    screen.line("\nA forecast, there:");
    screen.line(
        "curl -H 'content-type: application/json' -d '{\"store_id\": 1, \"item_id\": 1, \"date\": \"2024-04-09\"}' $SERVICE_URL/predict",
    );
    asked_to_end().await;
}
