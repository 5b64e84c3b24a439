//! `demo --prove-policies`: each function starts without its grants. What is denied says which grant the scene
//! needs; it is given, the message put back, and the scene has to end as told. So each grant was seen to be
//! missed, by the scene that needs it, and the scene to pass with it.
//!
//! A role's policies only allow, so a call that is denied with fewer grants is denied with all but its own:
//! that is checked for each, too, and a second grant that would have let it pass is a fault.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use local_cloud::{
    Cloud, Tap,
    grants::{Grant, document, grants},
    plan::{FunctionPlan, QueuePlan},
    unenforced::is_unenforced,
};
use local_wire::iam::{Policy, Request, Verdict, evaluate};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{denial::Denial, words::text};

const BETWEEN_LOOKS: Duration = Duration::from_millis(150);
const RECENT: Duration = Duration::from_millis(200);
/// Times that one call may be denied after its grant was given: messages were under way meanwhile.
const LATE: usize = 40;

/// Holds the functions' grants back.
pub(crate) struct Warden<'a> {
    pub(crate) cloud: &'a Cloud,
    /// Number of the scene that plays.
    pub(crate) scene: AtomicUsize,
    pub(crate) roles: Mutex<BTreeMap<String, Role>>,
    /// Every event, to deliver again one whose denial was told.
    events: Mutex<Tap>,
    /// Lines of each function's log that were read.
    read: Mutex<BTreeMap<String, usize>>,
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
    /// Given from the start: without it no denial could be told.
    Queue,
    /// Given, since another is tried.
    Kept,
    /// Nothing has asked for it.
    Withheld,
    /// The scene that was stopped without it, and by what.
    Needed { scene: usize, call: String },
}

impl State {
    fn is_given(&self) -> bool {
        *self != Self::Withheld
    }
}

impl<'a> Warden<'a> {
    /// Takes all grants away that can be missed, or of all functions' just those of one statement,
    /// `function/Sid`.
    pub(crate) async fn new(cloud: &'a Cloud, without: Option<&str>) -> anyhow::Result<Self> {
        let mut found = without.is_none();
        let mut roles = BTreeMap::new();
        for function in cloud.functions() {
            let grants = grants(&cloud.function(function)?.policy)?;
            let grants = grants.into_iter().map(|grant| {
                let state = match &grant {
                    grant if is_unenforced(grant) => State::Unenforced,
                    grant if grant.action.starts_with("sqs:") => State::Queue,
                    grant => match without {
                        Some(one) if one != format!("{function}/{}", grant.sid) => State::Kept,
                        _ => {
                            found = true;
                            State::Withheld
                        }
                    },
                };
                Tried { grant, state }
            });
            let role = Role {
                grants: grants.collect(),
                late: BTreeMap::new(),
            };
            give(cloud, function, &role).await?;
            roles.insert(function.to_owned(), role);
        }
        ensure!(
            found,
            "no statement is called {}, or none of its grants is enforced here",
            without.unwrap_or_default()
        );
        Ok(Self {
            cloud,
            scene: AtomicUsize::new(0),
            roles: Mutex::new(roles),
            events: Mutex::new(Tap::named(cloud, "warden").await?),
            read: Mutex::default(),
        })
    }

    /// Answers denials, until one shows a fault.
    pub(crate) async fn watch(&self) -> anyhow::Error {
        loop {
            for function in self.cloud.functions() {
                let seen = async {
                    self.look(function).await?;
                    self.read(function).await
                };
                if let Err(error) = seen.await {
                    return error.context(format!("the policy of {function}"));
                }
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// The first call that a function was denied.
    pub(crate) async fn first_denial(&self) -> anyhow::Result<String> {
        loop {
            for function in self.cloud.functions() {
                for letter in self.letters(function).await? {
                    let reason = text(&letter["MessageAttributes"]["reason"]["StringValue"]);
                    if Denial::read(&reason).is_some() {
                        return Ok(format!("{function}: {reason}"));
                    }
                }
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn letters(&self, function: &str) -> anyhow::Result<Vec<Value>> {
        let dead = self.url(function, |plan| &plan.dead_letters)?;
        let body =
            json!({"QueueUrl": dead, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]});
        let wire = self.cloud.wire();
        let answer = wire.json("sqs", "AmazonSQS.ReceiveMessage", body).await?;
        Ok(answer["Messages"].as_array().cloned().unwrap_or_default())
    }

    fn url(
        &self,
        function: &str,
        queue: fn(&FunctionPlan) -> &QueuePlan,
    ) -> anyhow::Result<String> {
        let plan = self.cloud.function(function)?;
        let (endpoint, account) = (self.cloud.wire().endpoint(), &plan.place.account);
        Ok(format!("{endpoint}/{account}/{}", queue(plan).name))
    }

    async fn look(&self, function: &str) -> anyhow::Result<()> {
        let wire = self.cloud.wire();
        for letter in self.letters(function).await? {
            let reason = text(&letter["MessageAttributes"]["reason"]["StringValue"]);
            let denial = Denial::read(&reason)
                .with_context(|| format!("a dead letter, but by no denial: {reason}"))?;
            self.answer(function, &denial).await?;
            let queue = self.url(function, |plan| &plan.queue)?;
            let back = json!({"QueueUrl": queue, "MessageBody": letter["Body"]});
            wire.json("sqs", "AmazonSQS.SendMessage", back).await?;
            let dead = self.url(function, |plan| &plan.dead_letters)?;
            let done = json!({"QueueUrl": dead, "ReceiptHandle": letter["ReceiptHandle"]});
            wire.json("sqs", "AmazonSQS.DeleteMessage", done).await?;
        }
        Ok(())
    }

    /// A function may tell people of a denial instead of burying its message: its log says so, too.
    async fn read(&self, function: &str) -> anyhow::Result<()> {
        let lines = self.cloud.logs(function).await?;
        let from = self
            .read
            .lock()
            .await
            .insert(function.to_owned(), lines.len());
        let new = lines.get(from.unwrap_or_default()..).unwrap_or_default();
        for line in new
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        {
            let decision = line["decision"].to_string();
            let Some(denial) = Denial::read(&decision).filter(|_| line["message"] == "decided")
            else {
                continue;
            };
            // What others were denied is told by who hears of it.
            if !self.is_of(function, &denial).await {
                continue;
            }
            let id = line["event_id"].clone();
            let mut tap = self.events.lock().await;
            while tap
                .next(self.cloud, Instant::now() + RECENT)
                .await?
                .is_some()
            {}
            let event = tap
                .seen
                .iter()
                .rev()
                .find(|event| event["id"] == id || event["detail"]["id"] == id);
            let event = event.with_context(|| format!("the event {id} wasn't seen"))?;
            self.answer(function, &denial).await?;
            self.cloud.enqueue(function, event).await?;
        }
        Ok(())
    }

    async fn is_of(&self, function: &str, denial: &Denial) -> bool {
        let roles = self.roles.lock().await;
        let Some(role) = roles.get(function) else {
            return false;
        };
        let mut withheld = role.grants.iter().filter(|tried| !tried.state.is_given());
        withheld.any(|tried| denial.resource_allowed(&tried.grant))
    }

    /// Gives the one grant whose lack was told.
    pub(crate) async fn answer(&self, function: &str, denial: &Denial) -> anyhow::Result<()> {
        let mut roles = self.roles.lock().await;
        let role = roles.get_mut(function).context("no such function")?;
        let call = denial.to_string();
        let allows = |tried: &Tried| denial.resource_allowed(&tried.grant);
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
        if let Some(resource) = &denial.resource {
            let rest = role
                .grants
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != n);
            let rest = rest.map(|(_, tried)| &tried.grant);
            ensure!(
                !allowed(&document(rest), &denial.action, resource)?,
                "{call}: two grants allow it; {} isn't needed",
                role.grants[n].grant.sid
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

/// Whether a policy allows a call. The condition is that of passing a role, the only one of a call here.
pub(crate) fn allowed(policy: &Value, action: &str, resource: &str) -> anyhow::Result<bool> {
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

impl Denial {
    /// Whether a grant would have let the call pass.
    fn resource_allowed(&self, grant: &Grant) -> bool {
        match &self.resource {
            Some(resource) => {
                allowed(&document([grant]), &self.action, resource).unwrap_or_default()
            }
            // Some services don't name what was denied.
            None => grant.action == self.action,
        }
    }
}
