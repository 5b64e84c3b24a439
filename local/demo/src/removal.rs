//! One statement removed, and the scene that needs it stopped: its message is buried for a denial, or an event
//! tells of one instead of what should have come.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use local_cloud::{
    Cloud, Tap,
    grants::{Grant, document, grants},
};
use serde_json::{Value, json};

use crate::{
    denial::denied,
    house::House,
    play::{Set, play},
    report::Report,
    screen::Screen,
    warden::can_be_missed,
    words::text,
};

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What stopped a scene.
#[derive(Debug, Clone)]
pub(crate) struct Stopped {
    pub(crate) scene: usize,
    /// What the function did, and which action it was denied.
    pub(crate) by: String,
}

/// Plays until a scene is stopped, and tells.
pub(crate) async fn show(house: &House, screen: &Screen, statement: &str) -> anyhow::Result<bool> {
    let stopped = play_without(house, screen, statement, |_| true).await?;
    let told = match &stopped {
        Some(stopped) => format!("scene {} is stopped: {}", stopped.scene, stopped.by),
        None => "NO scene is stopped".to_owned(),
    };
    screen.line(&format!("\nwithout {statement}: {told}"));
    Ok(stopped.is_some())
}

/// Plays scenes on a cloud of their own whose function has all but one statement, `function/Sid`. `None` when
/// all end as told; an error when one fails by something else than a denial.
pub(crate) async fn play_without(
    house: &House,
    screen: &Screen,
    statement: &str,
    wanted: impl Fn(usize) -> bool,
) -> anyhow::Result<Option<Stopped>> {
    let open = house.open(None).await?;
    let scene = AtomicUsize::new(0);
    let set = Set {
        cloud: &open.cloud,
        screen,
        uploads: &house.uploads,
        bins: &house.bins,
        is_proving: true,
        scene: &scene,
    };
    let played = until_stopped(&set, statement, wanted).await;
    open.close().await;
    played
}

async fn until_stopped(
    set: &Set<'_>,
    statement: &str,
    wanted: impl Fn(usize) -> bool,
) -> anyhow::Result<Option<Stopped>> {
    let cloud = set.cloud;
    remove(cloud, statement).await?;
    let mut tap = Tap::open(cloud).await?;
    let mut told = Tap::named(cloud, "removal").await?;
    // The other one comes when a model waits for it.
    cloud.push_built_image(set.bins, true).await?;
    let mut report = Report::new("");
    let by = tokio::select! {
        () = play(set, wanted, &mut tap, &mut report) => None,
        by = denial(cloud, &mut told) => Some(by?),
    };
    let scene = set.scene.load(Ordering::Relaxed);
    match (by, report.failure()) {
        (Some(by), _) => Ok(Some(Stopped { scene, by })),
        (None, None) => Ok(None),
        (None, Some((scene, seen))) => match denied(seen) {
            Some(action) => Ok(Some(Stopped {
                scene,
                by: told_of(&action),
            })),
            None => bail!("scene {scene} fails, but by no denial: {seen}"),
        },
    }
}

/// Takes a statement from its function, but what can't be missed here.
async fn remove(cloud: &Cloud, statement: &str) -> anyhow::Result<()> {
    let (function, sid) = statement
        .split_once('/')
        .context("a statement is FUNCTION/SID")?;
    let plan = cloud.function(function)?;
    let all = grants(&plan.policy)?;
    let rest = || {
        let stays = |grant: &&Grant| grant.sid != sid || !can_be_missed(grant);
        all.iter().filter(stays)
    };
    ensure!(
        rest().count() < all.len(),
        "{function} has no statement {sid}, or none of its grants is enforced here"
    );
    cloud.set_policy(&plan.name, &document(rest())).await
}

/// The first denial that a function ends its message with.
pub(crate) async fn denial(cloud: &Cloud, told: &mut Tap) -> anyhow::Result<String> {
    loop {
        for function in cloud.functions() {
            for reason in reasons(cloud, function).await? {
                if let Some(action) = denied(&reason) {
                    return Ok(format!("{function} buries its message, denied {action}"));
                }
            }
        }
        let until = Instant::now() + BETWEEN_LOOKS;
        while let Some(event) = told.next(cloud, until).await? {
            if let Some(action) = denied(&event["detail"].to_string()) {
                return Ok(told_of(&action));
            }
        }
    }
}

/// The scene and we hear of the same event, and either may be first.
fn told_of(action: &str) -> String {
    format!("an event tells that {action} is denied")
}

/// Why a function's dead letters are dead.
async fn reasons(cloud: &Cloud, function: &str) -> anyhow::Result<Vec<String>> {
    let (wire, plan) = (cloud.wire(), cloud.function(function)?);
    let (endpoint, account) = (wire.endpoint(), &plan.place.account);
    let url = format!("{endpoint}/{account}/{}", plan.dead_letters.name);
    let body =
        json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]});
    let answer = wire.json("sqs", "AmazonSQS.ReceiveMessage", body).await?;
    let letters = answer["Messages"].as_array().into_iter().flatten();
    let reason = |letter: &Value| text(&letter["MessageAttributes"]["reason"]["StringValue"]);
    Ok(letters.map(reason).collect())
}
