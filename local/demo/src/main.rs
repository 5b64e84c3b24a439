//! `make demo`: real data through the unmodified Lambda binaries, on this machine.

mod data;
mod defects;
mod denial;
mod endpoint;
mod inventory;
mod proof;
mod queues;
mod report;
mod scenes;
mod screen;
mod stories;
mod warden;
mod words;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
    time::Instant,
};

use anyhow::Context as _;
use clap::Parser;
use local_cloud::{Cloud, Options, RealCluster, StateFolder, Tap, real};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    data::{Least, Uploads},
    report::{Outcome, Report, SceneReport},
    scenes::{Seen, Stage},
    screen::Screen,
    stories::STORIES,
    warden::Warden,
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
    /// Give each function its grants only once something was denied without them, and tell which scene
    /// needs which statement of `infra/policies`.
    #[arg(long)]
    prove_policies: bool,
    /// Play without one statement, `FUNCTION/SID`: a scene has to be stopped by a denial.
    #[arg(long, conflicts_with = "prove_policies")]
    without: Option<String>,
    /// Root of the project.
    #[arg(long, default_value = ".")]
    project_root: PathBuf,
    /// Folder of the report.
    #[arg(long, default_value = "target/demo")]
    output: PathBuf,
}

/// Numbers, titles, and what has to be seen.
const SCENES: [(usize, &str, &str); 9] = [
    (
        1,
        "A first upload becomes a verified release",
        "validated, trained, judged first-model, registered, deployed, verified; the service predicts",
    ),
    (
        2,
        "More data: challenger against champion",
        "both scored on the very same rows; replaced or kept, with the numbers",
    ),
    (
        3,
        "Broken uploads",
        "a missing column, a negative sale and a repeated key are refused with row numbers; nothing is trained",
    ),
    (
        4,
        "Every event of scene 1, delivered again",
        "nothing new is made",
    ),
    (
        5,
        "The weekly check, Monday 02:00 UTC",
        "no-data where scene 2 replaced the champion: no row is new to it; else keep or retrain, by what it measures on rows that are",
    ),
    (
        6,
        "A release that passes every check fails under traffic",
        "its alarm brings the good release back within 60 s; the bad image is quarantined, and its event delivered again does nothing",
    ),
    (
        7,
        "A canary that does worse than what is live",
        "one pod of three; its error rate in the same periods ends it; the live pods go on, and the image is quarantined",
    ),
    (
        8,
        "An image with HIGH findings",
        "stopped at its scan; what is live stays live",
    ),
    (
        9,
        "An endpoint update that fails and comes back",
        "while it bakes its alarm takes the endpoint back to the old configuration; one rollback of the whole release within 60 s, the guilty package Rejected and quarantined, people told",
    ),
];

/// What the demonstration sets otherwise than a deployment on AWS.
const SETTINGS: &str = "verify-release and judge-canary look again after 1 s instead of 10 s; a canary bakes for 20 s instead of 600 s, measured in periods of 10 s instead of 60 s; alarms have 3 periods of 10 s instead of 60 s, and the API publishes its metrics every 5 s instead of 60 s; endpoint updates bake for 20 s instead of 300 s, under alarms of 1 period of 10 s instead of 2 of 60 s, on metrics of every 5 s instead of 60 s";

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
    let Shown {
        cloud,
        state,
        passed,
    } = match shown {
        Ok(shown) => shown,
        Err(error) => {
            eprintln!("demo: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    // Whoever ends the stay doesn't break the demonstration off: it was shown, and ends as it did.
    if arguments.keep {
        stay(&cloud, &screen).await;
    }
    cloud.stop().await;
    drop(state);
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

/// All scenes were shown; the cloud is still up.
struct Shown {
    cloud: Cloud,
    /// The cloud's files, which go when this does.
    state: StateFolder,
    passed: bool,
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

async fn show(arguments: &Arguments, screen: &Screen) -> anyhow::Result<Shown> {
    let path = arguments.output.join("report.json");
    Report::clear(&path)?;
    let least = Least::read(&arguments.project_root)?;
    let uploads = match &arguments.data {
        Some(path) => Uploads::read(path, &least)?,
        None => Uploads::generated(&least)?,
    };
    screen.line(&format!("Data   {}", uploads.origin));
    screen.line(&format!("Note   {SETTINGS}; all else is as deployed"));
    let state = StateFolder::new().context("a folder for the cloud's state")?;
    let bins = std::env::current_exe()?
        .parent()
        .context("the program's folder")?
        .to_owned();
    let starting = screen.stage("cloud started");
    let mut options = Options::new(&arguments.project_root, state.path(), &bins);
    options.overrides = overrides();
    options.cluster = real::from_environment()?;
    let real = options.cluster.clone();
    let cloud = Cloud::start(options).await?;
    let mut tap = Tap::open(&cloud).await?;
    let without = arguments.without.as_deref();
    let warden = if arguments.prove_policies || without.is_some() {
        Some(Warden::new(&cloud, without).await?)
    } else {
        None
    };
    if warden.is_some() {
        // The other one comes when a model waits for it.
        cloud.push_built_image(&bins, true).await?;
    } else {
        cloud.push_built_images(&bins).await?;
    }
    starting.done(&format!(
        "{} functions, each with its own role, queue and rules",
        cloud.functions().count()
    ));
    let mut settings = SETTINGS.to_owned();
    if let Some(real) = &real {
        let cluster = cluster(&cloud, real);
        screen.line(&format!("Note   {cluster}"));
        settings = format!("{settings}; {cluster}");
    }

    let set = Set {
        cloud: &cloud,
        screen,
        uploads: &uploads,
        bins: &bins,
        warden: warden.as_ref(),
    };
    let mut report = Report {
        settings,
        ..Report::new(&uploads.origin)
    };
    match (&warden, without) {
        (None, _) => play(&set, &mut tap, &mut report).await,
        (Some(warden), None) => {
            prove(&set, warden, &mut tap, &mut report).await;
            report.passed &= proof::tell(warden, screen, &arguments.output).await?;
        }
        (Some(warden), Some(statement)) => {
            try_without(&set, warden, statement, &mut tap, &mut report).await?;
        }
    }
    report.write(&path)?;
    let verdict = match (report.passed, without) {
        (true, None) => "every scene ended as told",
        (false, None) => "NOT every scene ended as told",
        (true, Some(_)) => "a scene was stopped, as it should be",
        (false, Some(_)) => "NO scene was stopped",
    };
    screen.line(&format!(
        "\n{verdict} ({:.0} s); report: {}",
        report.seconds,
        path.display()
    ));
    Ok(Shown {
        cloud,
        state,
        passed: report.passed,
    })
}

/// See [`SETTINGS`].
fn overrides() -> BTreeMap<String, BTreeMap<String, String>> {
    let set = |function: &str, variables: &[(&str, &str)]| {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        (function.to_owned(), variables.collect())
    };
    BTreeMap::from([
        set(
            "deploy-release",
            &[
                ("ALARM_PERIOD_S", "10"),
                ("ENDPOINT_ALARM_PERIOD_S", "10"),
                ("ENDPOINT_ALARM_PERIODS", "1"),
                ("ENDPOINT_BAKE_S", "20"),
                ("ENDPOINT_KEEP_OLD_S", "0"),
                ("API_ENVIRONMENT", r#"{"METRICS_PERIOD_S": "5"}"#),
            ],
        ),
        set(
            "verify-release",
            &[
                ("ALARM_PERIOD_S", "10"),
                ("ENDPOINT_ALARM_PERIOD_S", "10"),
                ("ENDPOINT_ALARM_PERIODS", "1"),
                ("LOOK_AGAIN_S", "1"),
            ],
        ),
        set(
            "judge-canary",
            &[
                ("CANARY_BAKE_S", "20"),
                ("CANARY_PERIOD_S", "10"),
                ("LOOK_AGAIN_S", "1"),
            ],
        ),
    ])
}

/// The real cluster, in words.
fn cluster(cloud: &Cloud, real: &RealCluster) -> String {
    let (version, namespace) = (cloud.kubernetes_version(), &real.namespace);
    let endpoint = &real.endpoint;
    format!("deploys to Kubernetes {version} at {endpoint}, namespace {namespace}")
}

/// What all scenes have in common.
struct Set<'a> {
    cloud: &'a Cloud,
    screen: &'a Screen,
    uploads: &'a Uploads,
    bins: &'a Path,
    warden: Option<&'a Warden<'a>>,
}

impl<'a> Set<'a> {
    fn stage<'s>(&'s self, tap: &'s mut Tap) -> Stage<'s>
    where
        'a: 's,
    {
        Stage {
            cloud: self.cloud,
            tap,
            screen: self.screen,
            uploads: self.uploads,
            bins: self.bins,
            is_proving: self.warden.is_some(),
        }
    }
}

/// Plays under the warden, and what only it can't see.
async fn prove(set: &Set<'_>, warden: &Warden<'_>, tap: &mut Tap, report: &mut Report) {
    let mut fault = tokio::select! {
        () = play(set, tap, report) => None,
        fault = warden.watch() => Some(fault),
    };
    if fault.is_none() && report.passed {
        fault = set.stage(tap).queues().await.err();
    }
    if let Some(fault) = fault {
        set.screen.line(&format!("  ✗ {fault:#}"));
        report.passed = false;
    }
}

/// Plays without one statement: passed is what is stopped.
async fn try_without(
    set: &Set<'_>,
    warden: &Warden<'_>,
    statement: &str,
    tap: &mut Tap,
    report: &mut Report,
) -> anyhow::Result<()> {
    let denial = tokio::select! {
        () = play(set, tap, report) => report.denial(),
        denial = warden.first_denial() => Some(denial?),
    };
    let scene = warden.scene.load(Ordering::Relaxed);
    report.passed = denial.is_some();
    let told = denial.map_or("nothing is denied".to_owned(), |denial| {
        format!("scene {scene} is stopped: {denial}")
    });
    set.screen.line(&format!("without {statement}: {told}"));
    Ok(())
}

async fn play(set: &Set<'_>, tap: &mut Tap, whole: &mut Report) {
    let began = Instant::now();
    let screen = set.screen;
    let scenes = &mut whole.scenes;
    let mut first_scene = vec![];
    let stories = if set.warden.is_some() {
        &STORIES[..]
    } else {
        &[]
    };
    for (number, title, expected) in SCENES.iter().chain(stories) {
        let number = *number;
        let mut report = SceneReport {
            scene: number,
            title: (*title).to_owned(),
            expected: (*expected).to_owned(),
            outcome: Outcome::NotRun,
            seen: vec![],
            seconds: 0.0,
        };
        // Without a first release there is nothing that the other scenes could happen to.
        if scenes
            .first()
            .is_some_and(|first| first.outcome == Outcome::Failed)
        {
            report.seen = vec!["not run: scene 1 failed".to_owned()];
            scenes.push(report);
            continue;
        }
        screen.scene(number, title);
        let started = Instant::now();
        if let Some(warden) = set.warden {
            warden.scene.store(number, Ordering::Relaxed);
        }
        let mut stage = set.stage(tap);
        let seen: Seen = match number {
            1 => {
                let seen = stage.first_release().await;
                first_scene.clone_from(&stage.tap.seen);
                seen
            }
            2 => stage.challenger().await,
            3 => stage.broken_uploads().await,
            4 => stage.redelivery(&first_scene).await,
            5 => stage.weekly_check().await,
            6 => stage.failing_release().await,
            7 => stage.aborted_canary().await,
            8 => stage.vulnerable_image().await,
            9 => stage.endpoint_update().await,
            10 => stage.failures().await,
            11 => stage.frozen().await,
            12 => stage.diagnosis().await,
            _ => stage.way_back().await,
        };
        (report.outcome, report.seen) = match seen {
            Ok(seen) => (Outcome::Passed, seen),
            Err(error) => {
                screen.line(&format!("  ✗ expected: {expected}\n    seen: {error:#}"));
                (Outcome::Failed, vec![format!("{error:#}")])
            }
        };
        report.seconds = started.elapsed().as_secs_f64();
        scenes.push(report);
    }
    whole.passed = scenes.iter().all(|scene| scene.outcome == Outcome::Passed);
    whole.seconds = began.elapsed().as_secs_f64();
}

async fn stay(cloud: &Cloud, screen: &Screen) {
    let addresses = cloud.addresses();
    screen.line("\nThe cloud stays up until Ctrl-C:");
    for (name, address) in [
        ("AWS", &addresses.aws),
        ("SageMaker", &addresses.sagemaker),
        ("ECR", &addresses.ecr),
        ("EKS", &addresses.eks),
        ("forecasting API", &addresses.service),
    ] {
        screen.line(&format!("  {name:<16} {address}"));
    }
    asked_to_end().await;
}
