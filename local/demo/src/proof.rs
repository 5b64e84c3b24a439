//! `demo --prove-policies`: that the functions' policies hold nothing that no scene needs, and all that they do.
//!
//! First all scenes are played with the grants held back ([`crate::warden`]), then what functions do with their
//! own queues ([`crate::queues`]). So each grant is known to be asked for, and by which scene. Then each
//! statement is removed in turn, on a cloud of its own, and that scene has to be stopped by it
//! ([`crate::removal`]).

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    path::Path,
    sync::atomic::AtomicUsize,
};

use anyhow::Context as _;
use local_cloud::{Tap, grants::Grant};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::{
    house::House,
    play::{Set, play},
    removal::{self, Stopped},
    report::Report,
    screen::Screen,
    warden::{State, Warden},
};

/// What no scene asks for though it is needed: function, statement, action, and why.
const EXCUSED: [(&str, &str, &str, &str); 1] = [(
    "register-model",
    "RegisterVersions",
    "sagemaker:CreateModelPackage",
    "AWS's reference names the version and its group, the stand-in asks for the version",
)];

/// What playing with the grants held back found.
struct Learnt {
    /// Every scene ended as told.
    is_whole: bool,
    /// Of a function and its statement the scenes that asked for it.
    statements: BTreeMap<(String, String), Vec<usize>>,
    /// Each grant that was asked for.
    needed: Vec<Value>,
    unasked: Vec<(String, Grant)>,
    unenforced: usize,
    queue: usize,
}

/// Whether the policies are what they should be. Of the statements each `every`-th is removed. Writes
/// `policies.json`.
pub(crate) async fn prove(
    house: &House,
    screen: &Screen,
    every: NonZeroUsize,
    output: &Path,
) -> anyhow::Result<bool> {
    let learnt = learn(house, screen, output).await?;
    let mut is_sound = tell(&learnt, screen);
    let mut removed = vec![];
    if learnt.is_whole {
        let (is_stopped, tried) = remove_each(house, screen, &learnt, every).await;
        is_sound &= is_stopped;
        removed = tried;
    }
    let unasked = learnt.unasked.iter().map(|(function, grant)| {
        json!({"function": function, "statement": grant.sid, "action": grant.action, "resource": grant.resource})
    });
    let report = json!({"passed": is_sound, "needed": learnt.needed, "unasked": unasked.collect::<Vec<_>>(),
        "unenforced": learnt.unenforced, "queue": learnt.queue, "removed": removed});
    std::fs::create_dir_all(output)?;
    let path = output.join("policies.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("writing {}", path.display()))?;
    let verdict = if is_sound {
        "the policies are what the scenes need"
    } else {
        "the policies are NOT what the scenes need"
    };
    screen.line(&format!("\n{verdict}; report: {}", path.display()));
    Ok(is_sound)
}

/// Plays under the warden, and what only it can't see.
async fn learn(house: &House, screen: &Screen, output: &Path) -> anyhow::Result<Learnt> {
    let starting = screen.stage("cloud started");
    let (told, mut denials) = mpsc::unbounded_channel();
    let open = house.open(Some(told)).await?;
    let cloud = &open.cloud;
    let scene = AtomicUsize::new(0);
    let mut tap = Tap::open(cloud).await?;
    let mut others = Tap::named(cloud, "proof").await?;
    let warden = Warden::new(cloud, &scene).await?;
    // The other one comes when a model waits for it.
    cloud.push_built_image(&house.bins, true).await?;
    starting.done("each function may do nothing but use its queue");
    let set = Set {
        cloud,
        screen,
        uploads: &house.uploads,
        bins: &house.bins,
        is_proving: true,
        scene: &scene,
    };
    let mut report = Report::new(&house.uploads.origin);
    let mut fault = tokio::select! {
        () = play(&set, |_| true, &mut tap, &mut report) => None,
        fault = warden.watch(&mut denials) => Some(fault),
        denial = removal::denial(cloud, &mut others) => {
            Some(denial.map_or_else(|error| error, |by| anyhow::anyhow!("a call wasn't held: {by}")))
        }
    };
    drop(denials);
    if fault.is_none() && report.passed {
        fault = set.stage(&mut tap).queues().await.err();
    }
    if let Some(fault) = &fault {
        screen.line(&format!("  ✗ {fault:#}"));
    }
    report.write(&output.join("report.json"))?;
    let is_whole = report.passed && fault.is_none();
    screen.line(&format!("\nscenes played in {:.0} s", report.seconds));
    let learnt = sum_up(&warden, is_whole).await;
    drop(warden);
    open.close().await;
    Ok(learnt)
}

async fn sum_up(warden: &Warden<'_>, is_whole: bool) -> Learnt {
    let mut learnt = Learnt {
        is_whole,
        statements: BTreeMap::new(),
        needed: vec![],
        unasked: warden.unasked().await,
        unenforced: 0,
        queue: 0,
    };
    for (function, role) in warden.roles.lock().await.iter() {
        for tried in &role.grants {
            let grant = &tried.grant;
            match &tried.state {
                State::Unenforced => learnt.unenforced += 1,
                State::Queue => learnt.queue += 1,
                State::Withheld => {}
                State::Needed { scene, call } => {
                    let name = (function.clone(), grant.sid.clone());
                    learnt.statements.entry(name).or_default().push(*scene);
                    let needed = json!({"function": function, "statement": grant.sid, "action": grant.action,
                        "resource": grant.resource, "scene": scene, "denied": call});
                    learnt.needed.push(needed);
                }
            }
        }
    }
    for scenes in learnt.statements.values_mut() {
        scenes.sort_unstable();
        scenes.dedup();
    }
    learnt
}

/// Tells which scene asked for what; whether nothing is there that none asked for.
fn tell(learnt: &Learnt, screen: &Screen) -> bool {
    screen.line("\nStatements, and the scenes that were denied something without them:");
    let mut last = "";
    for ((function, sid), scenes) in &learnt.statements {
        let scenes: Vec<String> = scenes.iter().map(ToString::to_string).collect();
        let name = if function == last { "" } else { function };
        screen.line(&format!("  {name:<17} {sid:<26} {}", scenes.join(", ")));
        last = function;
    }
    screen.line(&format!(
        "{} statements with {} grants (an action on a resource) were asked for; {} grants the emulator doesn't enforce: without each of them a deployment is refused (`cargo test -p local-cloud unenforced`); {} are those of the functions' own queues",
        learnt.statements.len(),
        learnt.needed.len(),
        learnt.unenforced,
        learnt.queue
    ));
    if !learnt.is_whole {
        screen.line("  The scenes broke off: what the others would have asked for isn't known.");
        return false;
    }
    let mut sound = true;
    for (function, grant) in &learnt.unasked {
        let name = (function.as_str(), grant.sid.as_str(), grant.action.as_str());
        let excuse = EXCUSED
            .iter()
            .find(|(function, sid, action, _)| (*function, *sid, *action) == name);
        sound &= excuse.is_some();
        let (mark, why) = excuse.map_or(
            ("✗", "nothing needs it: remove it, or tell its story"),
            |(.., why)| ("·", why),
        );
        screen.line(&format!(
            "  {mark} {function} {}: {} on {}: {why}",
            grant.sid, grant.action, grant.resource
        ));
    }
    sound
}

/// Removes statements, a few at once, since the scenes wait more than they work. Whether each was missed, and
/// what stopped which scene.
async fn remove_each(
    house: &House,
    screen: &Screen,
    learnt: &Learnt,
    every: NonZeroUsize,
) -> (bool, Vec<Value>) {
    let statements = learnt.statements.iter();
    let waiting: VecDeque<_> = statements.step_by(every.get()).collect();
    let all = waiting.len();
    screen.line(&format!("\n{all} statements, each removed in turn:"));
    let waiting = Mutex::new(waiting);
    let tried = Mutex::new(vec![]);
    let worker = || async {
        loop {
            let next = waiting.lock().await.pop_front();
            let Some(((function, sid), scenes)) = next else {
                return;
            };
            let scene = scenes.first().copied().unwrap_or(1);
            let name = format!("{function}/{sid}");
            let found = Box::pin(try_without(house, &name, scene)).await;
            let (is_stopped, told) = match found {
                Ok(Some(Stopped { scene, by })) => {
                    (true, format!("scene {scene} is stopped: {by}"))
                }
                Ok(None) => (false, format!("scene {scene} ends as told without it")),
                Err(error) => (false, format!("{error:#}")),
            };
            let mark = if is_stopped { "✓" } else { "✗" };
            screen.line(&format!("  {mark} {function:<17} {sid:<26} {told}"));
            let one = json!({"function": function, "statement": sid, "stopped": is_stopped, "seen": told});
            tried.lock().await.push(one);
        }
    };
    tokio::join!(worker(), worker(), worker(), worker());
    let tried = tried.into_inner();
    let stopped = tried.iter().filter(|one| one["stopped"] == true).count();
    screen.line(&format!(
        "{stopped} of {all} statements removed stopped the scene that needs them"
    ));
    (stopped == all, tried)
}

/// Plays the scene, and before it what it stands on; where that isn't stopped, all that came before it.
async fn try_without(
    house: &House,
    statement: &str,
    scene: usize,
) -> anyhow::Result<Option<Stopped>> {
    let screen = Screen::quiet();
    let leads_to: &[usize] = match scene {
        5 | 12 => &[1, 2],
        14 => &[1, 7],
        _ => &[1],
    };
    let short = |played| played == scene || leads_to.contains(&played);
    if let Ok(Some(stopped)) = removal::play_without(house, &screen, statement, short).await {
        return Ok(Some(stopped));
    }
    removal::play_without(house, &screen, statement, |played| played <= scene).await
}
