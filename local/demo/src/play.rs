//! The scenes in their order, and how they are played.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use local_cloud::{Cloud, Tap};

use crate::{
    data::Uploads,
    report::{Outcome, Report, SceneReport},
    scenes::{Seen, Stage},
    screen::Screen,
    stories::STORIES,
};

/// Numbers, titles, and what has to be seen.
pub(crate) const SCENES: [(usize, &str, &str); 9] = [
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
        "one pod of three; too few of its answers fail for an alarm, and more than the live release's in the same periods, which ends it; the live pods go on, and the image is quarantined",
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

/// What all scenes have in common.
pub(crate) struct Set<'a> {
    pub(crate) cloud: &'a Cloud,
    pub(crate) screen: &'a Screen,
    pub(crate) uploads: &'a Uploads,
    /// Where the programs of images are.
    pub(crate) bins: &'a Path,
    /// Whether the scenes are played for a proof of the policies, which has more of them.
    pub(crate) is_proving: bool,
    /// Number of the scene that plays.
    pub(crate) scene: &'a AtomicUsize,
}

impl<'a> Set<'a> {
    pub(crate) fn stage<'s>(&'s self, tap: &'s mut Tap) -> Stage<'s>
    where
        'a: 's,
    {
        Stage {
            cloud: self.cloud,
            tap,
            screen: self.screen,
            uploads: self.uploads,
            bins: self.bins,
            is_proving: self.is_proving,
        }
    }
}

/// Plays the scenes that are `wanted`, by their numbers.
pub(crate) async fn play(
    set: &Set<'_>,
    wanted: impl Fn(usize) -> bool,
    tap: &mut Tap,
    whole: &mut Report,
) {
    let began = Instant::now();
    let screen = set.screen;
    let scenes = &mut whole.scenes;
    let mut first_scene = vec![];
    let stories = if set.is_proving { &STORIES[..] } else { &[] };
    let wanted = SCENES.iter().chain(stories).filter(|scene| wanted(scene.0));
    for (number, title, expected) in wanted {
        let number = *number;
        let mut report = SceneReport {
            scene: number,
            title: (*title).to_owned(),
            expected: (*expected).to_owned(),
            outcome: Outcome::NotRun,
            seen: vec![],
            seconds: 0.0,
        };
        // Without a first release there is nothing that the other scenes could happen to, and a proof ends
        // with its first fault.
        let mut failed = scenes
            .iter()
            .filter(|scene| scene.outcome == Outcome::Failed);
        let needed = |failed: &SceneReport| failed.scene == 1 || set.is_proving;
        if let Some(failed) = failed.find(|failed| needed(failed)) {
            report.seen = vec![format!("not run: scene {} failed", failed.scene)];
            scenes.push(report);
            continue;
        }
        screen.scene(number, title);
        let started = Instant::now();
        set.scene.store(number, Ordering::Relaxed);
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
            13 => stage.way_back().await,
            14 => stage.requests().await,
            15 => stage.unsupported_image().await,
            _ => stage.unjudged_model().await,
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
