//! What a proof of the policies found.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde_json::json;

use crate::{
    screen::Screen,
    warden::{State, Warden},
};

/// What no scene asks for though it is needed: function, statement, action, and why.
const EXCUSED: [(&str, &str, &str, &str); 2] = [
    (
        "register-model",
        "RegisterVersions",
        "sagemaker:CreateModelPackage",
        "AWS's reference names the version and its group, the stand-in asks for the version",
    ),
    (
        "deploy-release",
        "SetAlarms",
        "cloudwatch:DeleteAlarms",
        "only who loses a race to another release removes its alarms: `make prove` plays those in memory",
    ),
];

/// Tells what was tried, and whether something of it is needed by nothing. Writes `policies.json`.
pub(crate) async fn tell(
    warden: &Warden<'_>,
    screen: &Screen,
    output: &Path,
) -> anyhow::Result<bool> {
    let unasked = warden.unasked().await;
    let roles = warden.roles.lock().await;
    let mut statements: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    let (mut needed, mut unenforced, mut queue) = (0, 0, 0);
    let mut found = vec![];
    for (function, role) in roles.iter() {
        for tried in &role.grants {
            let grant = &tried.grant;
            match &tried.state {
                State::Unenforced => unenforced += 1,
                State::Queue => queue += 1,
                State::Withheld | State::Kept => {}
                State::Needed { scene, call } => {
                    needed += 1;
                    let scenes = statements.entry((function, &grant.sid)).or_default();
                    scenes.push(*scene);
                    found.push(
                        json!({"function": function, "statement": grant.sid, "action": grant.action,
                        "resource": grant.resource, "scene": scene, "denied": call}),
                    );
                }
            }
        }
    }
    screen.line("\nStatements, each removed; the scenes that were denied something without it:");
    let mut last = "";
    for ((function, sid), scenes) in &mut statements {
        scenes.sort_unstable();
        scenes.dedup();
        let scenes: Vec<String> = scenes.iter().map(ToString::to_string).collect();
        let name = if *function == last { "" } else { function };
        screen.line(&format!("  {name:<17} {sid:<26} {}", scenes.join(", ")));
        last = function;
    }
    screen.line(&format!(
        "{} statements with {needed} grants (an action on a resource) were denied and are needed; {unenforced} grants the emulator doesn't enforce: without each of them a deployment is refused (`cargo test -p local-cloud unenforced`); {queue} are those of the functions' own queues",
        statements.len()
    ));
    let mut sound = true;
    for (function, grant) in &unasked {
        let name = (function.as_str(), grant.sid.as_str(), grant.action.as_str());
        let excuse = EXCUSED
            .iter()
            .find(|(function, sid, action, _)| (*function, *sid, *action) == name);
        sound &= excuse.is_some();
        let why = excuse.map_or(
            "nothing needs it: remove it, or tell its story",
            |(.., why)| why,
        );
        screen.line(&format!(
            "  ✗ {function} {}: {} on {}: {why}",
            grant.sid, grant.action, grant.resource
        ));
    }
    let unasked: Vec<_> = unasked
        .iter()
        .map(|(function, grant)| json!({"function": function, "statement": grant.sid, "action": grant.action, "resource": grant.resource}))
        .collect();
    let report =
        json!({"needed": found, "unasked": unasked, "unenforced": unenforced, "queue": queue});
    std::fs::create_dir_all(output)?;
    let path = output.join("policies.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(sound)
}
