//! Holds the functions' grants back, each until a call is denied without it. The call waits meanwhile: it is
//! tried again with the grant, and the scene goes on. So each grant was seen to be missed, by the scene that
//! needs it, and the scene to pass with it.
//!
//! A role's policies only allow, so a call that is denied with fewer grants is denied with all but its own:
//! that is checked for each, too, and a second grant that would have let it pass is a fault.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, bail, ensure};
use local_cloud::{
    Cloud, Denied,
    grants::{Grant, document, grants},
    unenforced::is_unenforced,
};
use local_wire::iam::{Policy, Request, Verdict, evaluate};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};

/// Times that one call may be denied after its grant was given: others like it were under way meanwhile.
const LATE: usize = 40;

/// Holds the grants.
pub(crate) struct Warden<'a> {
    cloud: &'a Cloud,
    /// Number of the scene that plays.
    scene: &'a AtomicUsize,
    pub(crate) roles: Mutex<BTreeMap<String, Role>>,
}

/// A function's grants.
#[derive(Default)]
pub(crate) struct Role {
    pub(crate) grants: Vec<Tried>,
    late: BTreeMap<String, usize>,
}

/// A grant, and what became of it.
pub(crate) struct Tried {
    pub(crate) grant: Grant,
    pub(crate) state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Given from the start: the emulator doesn't enforce it.
    Unenforced,
    /// Given from the start: without it a function couldn't say what it misses. See [`crate::queues`].
    Queue,
    /// Nothing has asked for it.
    Withheld,
    /// The scene that was stopped without it, and by what.
    Needed { scene: usize, call: String },
}

impl State {
    /// Before anything was played.
    fn of(grant: &Grant) -> Self {
        if is_unenforced(grant) {
            Self::Unenforced
        } else if grant.action.starts_with("sqs:") {
            Self::Queue
        } else {
            Self::Withheld
        }
    }

    fn is_given(&self) -> bool {
        *self != Self::Withheld
    }
}

/// Whether a grant can be missed here.
pub(crate) fn can_be_missed(grant: &Grant) -> bool {
    State::of(grant) == State::Withheld
}

impl<'a> Warden<'a> {
    /// Takes all grants away that can be missed.
    pub(crate) async fn new(cloud: &'a Cloud, scene: &'a AtomicUsize) -> anyhow::Result<Self> {
        let mut roles = BTreeMap::new();
        for function in cloud.functions() {
            let grants = grants(&cloud.function(function)?.policy)?;
            let grants = grants.into_iter().map(|grant| Tried {
                state: State::of(&grant),
                grant,
            });
            let role = Role {
                grants: grants.collect(),
                late: BTreeMap::new(),
            };
            give(cloud, function, &role).await?;
            roles.insert(function.to_owned(), role);
        }
        Ok(Self {
            cloud,
            scene,
            roles: Mutex::new(roles),
        })
    }

    /// Answers denials, until one shows a fault.
    pub(crate) async fn watch(
        &self,
        denials: &mut mpsc::UnboundedReceiver<Denied>,
    ) -> anyhow::Error {
        while let Some(denied) = denials.recv().await {
            let mut functions = self.cloud.functions();
            let is_of = |function: &&str| {
                let plan = self.cloud.function(function);
                plan.is_ok_and(|plan| plan.name == denied.role)
            };
            // What others than the functions are denied stays denied.
            let Some(function) = functions.find(is_of) else {
                continue;
            };
            match self.answer(function, &denied).await {
                Ok(()) => denied.try_again(),
                Err(error) => return error.context(format!("the policy of {function}")),
            }
        }
        anyhow::anyhow!("the cloud is gone")
    }

    /// Gives the one grant whose lack was told.
    async fn answer(&self, function: &str, denied: &Denied) -> anyhow::Result<()> {
        let mut roles = self.roles.lock().await;
        let role = roles.get_mut(function).context("no such function")?;
        let call = match &denied.resource {
            Some(resource) => format!("{} on {resource}", denied.action),
            None => denied.action.clone(),
        };
        let allows = |tried: &Tried| lets_pass(&tried.grant, denied);
        if role
            .grants
            .iter()
            .any(|tried| tried.state.is_given() && allows(tried))
        {
            let late = role.late.entry(call.clone()).or_default();
            *late += 1;
            ensure!(*late < LATE, "{call} is denied though it is allowed");
            return Ok(());
        }
        let Some(n) = role.grants.iter().position(allows) else {
            bail!("{call}: no statement allows it");
        };
        let others = role.grants.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != n);
        if let Some((_, other)) = others.find(|(_, tried)| allows(tried)) {
            bail!(
                "{call}: {} allows it, and so does {}",
                role.grants[n].grant.sid,
                other.grant.sid
            );
        }
        role.grants[n].state = State::Needed {
            scene: self.scene.load(Ordering::Relaxed),
            call,
        };
        give(self.cloud, function, role).await
    }

    /// What nothing has asked for.
    pub(crate) async fn unasked(&self) -> Vec<(String, Grant)> {
        let roles = self.roles.lock().await;
        let of = |(function, role): (&String, &Role)| {
            let withheld = role.grants.iter().filter(|tried| !tried.state.is_given());
            let unasked = withheld.map(|tried| (function.clone(), tried.grant.clone()));
            unasked.collect::<Vec<_>>()
        };
        roles.iter().flat_map(of).collect()
    }
}

/// The role gets what it was given so far.
async fn give(cloud: &Cloud, function: &str, role: &Role) -> anyhow::Result<()> {
    let given = role.grants.iter().filter(|tried| tried.state.is_given());
    let policy = document(given.map(|tried| &tried.grant));
    cloud
        .set_policy(&cloud.function(function)?.name, &policy)
        .await
}

/// Whether a grant would have let the call pass.
fn lets_pass(grant: &Grant, denied: &Denied) -> bool {
    match &denied.resource {
        Some(resource) => allowed(&document([grant]), &denied.action, resource).unwrap_or_default(),
        // Some services don't name what was denied.
        None => grant.action == denied.action,
    }
}

/// Whether a policy allows a call. The condition is that of passing a role, the only one of a call here.
fn allowed(policy: &Value, action: &str, resource: &str) -> anyhow::Result<bool> {
    let policy = Policy::parse(policy)?;
    let passed = ("iam:passedtoservice", "sagemaker.amazonaws.com");
    let context = [passed].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let request = Request {
        action,
        resource,
        context: &context.into(),
    };
    Ok(evaluate([&policy], &request) == Verdict::Allowed)
}
