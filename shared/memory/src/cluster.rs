//! The Kubernetes Deployment of the API and its canary's, and what their pods really run.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Error, Result, names,
    ports::{Canaries, Cluster, DeploymentPatch, Ensured},
    rollout::{Deployment, Rollout},
};

use crate::{World, script::Outcome, state::State};

/// Name of the API's container.
pub const CONTAINER: &str = "retail-forecast-api";
/// Who the world takes the caller of `apply` to be.
pub const FIELD_MANAGER: &str = "retail-forecast";
/// Who applied the manifests.
const FIRST_MANAGER: &str = "kubectl";
/// Pods of the Deployment.
const PODS: i32 = 2;

/// The Deployment, and the pods behind the Service.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) deployment: Deployment,
    /// Variables of the pods that answer: those of the last rollout that completed.
    pub(crate) serving: BTreeMap<String, String>,
    /// Their image.
    pub(crate) serving_image: String,
    /// Variables and annotations that our manager owns, and that go when it leaves them out.
    owned: Owned,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Owned {
    environment: BTreeSet<String>,
    annotations: BTreeSet<String>,
}

impl Api {
    /// What the manifests made: pods of a placeholder, without a model.
    pub(crate) fn placeholder() -> Self {
        let deployment = Deployment {
            generation: 1,
            observed_generation: 1,
            wanted: PODS,
            updated: PODS,
            replicas: PODS,
            available: PODS,
            containers: vec![CONTAINER.to_owned()],
            image: Some("placeholder".to_owned()),
            image_managers: vec![FIRST_MANAGER.to_owned()],
            ..Deployment::default()
        };
        Self {
            deployment,
            serving: BTreeMap::new(),
            serving_image: String::new(),
            owned: Owned::default(),
        }
    }

    /// The canary's Deployment, which stands at zero pods.
    pub(crate) fn no_canary() -> Self {
        let mut canary = Self::placeholder();
        canary.scale(0);
        canary
    }

    /// Pods come and go at once; a new template is rolled out in steps.
    fn scale(&mut self, pods: i32) {
        let now = &mut self.deployment;
        now.wanted = pods;
        now.updated = pods;
        now.replicas = pods;
        now.available = pods;
    }

    /// Sets what the patch says, and removes what an earlier patch of ours said and this one doesn't.
    fn apply(&mut self, patch: &DeploymentPatch) -> Ensured {
        let before = self.deployment.clone();
        let now = &mut self.deployment;
        now.image = Some(patch.image.clone());
        let owned = &mut self.owned;
        overlay(
            &mut now.environment,
            &mut owned.environment,
            &patch.environment,
        );
        overlay(
            &mut now.annotations,
            &mut owned.annotations,
            &patch.annotations,
        );
        if *now == before {
            return Ensured::AlreadySo;
        }
        now.generation += 1;
        Ensured::Made
    }

    /// Owns the image with the others of the same mind, or alone.
    fn own_image(&mut self, alone: bool) {
        let managers = &mut self.deployment.image_managers;
        if alone {
            managers.retain(|manager| manager == FIELD_MANAGER);
        }
        if !managers.iter().any(|manager| manager == FIELD_MANAGER) {
            managers.push(FIELD_MANAGER.to_owned());
        }
    }
}

fn overlay(
    values: &mut BTreeMap<String, String>,
    owned: &mut BTreeSet<String>,
    patch: &BTreeMap<String, String>,
) {
    values.retain(|name, _| !owned.contains(name) || patch.contains_key(name));
    values.extend(patch.clone());
    *owned = patch.keys().cloned().collect();
}

/// Lets the controller go one step: it observes a new generation and starts the first new pod; at the
/// next step all pods are replaced, or the rollout stalls.
pub(crate) fn run(state: &mut State) {
    if let Some(mut api) = state.api.take() {
        step(state, &mut api);
        state.api = Some(api);
    }
    let mut canary = std::mem::replace(&mut state.canary, Api::no_canary());
    step(state, &mut canary);
    state.canary = canary;
}

fn step(state: &State, api: &mut Api) {
    let now = &mut api.deployment;
    if now.observed_generation < now.generation {
        now.observed_generation = now.generation;
        now.deadline_exceeded = false;
        now.updated = if now.paused { 0 } else { 1.min(now.wanted) };
        now.replicas = now.wanted + now.updated;
        now.available = now.wanted;
    } else if matches!(now.rollout(now.generation), Rollout::Progressing(_)) {
        match outcome(state, now) {
            Outcome::Completes => {
                now.updated = now.wanted;
                now.replicas = now.wanted;
                now.available = now.wanted;
                api.serving.clone_from(&now.environment);
                api.serving_image = now.image.clone().unwrap_or_default();
            }
            Outcome::Fails(_) | Outcome::Stops => now.deadline_exceeded = true,
            Outcome::RunsOn => (),
        }
    }
}

/// How the rollout ends. Pods don't become ready with a model that isn't there or isn't the right one.
fn outcome(state: &State, deployment: &Deployment) -> Outcome {
    let variables = &deployment.environment;
    let image = deployment.image.as_deref().unwrap_or_default();
    let subject = variables.get("DEPLOYMENT_ID").map_or(image, String::as_str);
    let ready = variables.get("MODEL_URI").is_none_or(|uri| {
        let model = state.objects.at_uri(uri).map(names::digest_bytes);
        let wanted = variables.get("MODEL_DIGEST").or(model.as_ref());
        model.is_some() && wanted == model.as_ref()
    });
    match state.scripts.outcome("rollout", subject) {
        Outcome::Completes if !ready => Outcome::RunsOn,
        outcome => outcome,
    }
}

impl World {
    /// Changes the Deployment by hand: scale it, pause it, name another manager. Counts and
    /// generations stay as `edit` leaves them.
    pub fn edit_deployment(&self, edit: impl FnOnce(&mut Deployment)) {
        if let Some(api) = &mut self.state.borrow_mut().api {
            edit(&mut api.deployment);
        }
    }

    /// Deletes the Deployment, as if the manifests were never applied.
    pub fn delete_deployment(&self) {
        self.state.borrow_mut().api = None;
    }
}

impl Cluster for World {
    async fn deployment(&self) -> Result<Option<Deployment>> {
        self.look("deployment", "", |state| {
            state.api.as_ref().map(|api| api.deployment.clone())
        })
        .await
    }

    async fn apply(&self, patch: &DeploymentPatch, force: bool) -> Result<i64> {
        self.effect("apply", &patch.image, |state| {
            let api = state.api.as_mut().ok_or_else(|| {
                Error::permanent("there is no Deployment: apply the manifests first")
            })?;
            if !api
                .deployment
                .containers
                .iter()
                .any(|name| name == CONTAINER)
            {
                return Err(Error::permanent(format!(
                    "the Deployment has no container {CONTAINER}"
                )));
            }
            let changes = api.deployment.image.as_ref() != Some(&patch.image);
            let mut managers = api.deployment.image_managers.iter();
            let other = managers.find(|manager| *manager != FIELD_MANAGER);
            if let (true, false, Some(other)) = (changes, force, other) {
                return Err(Error::permanent(format!(
                    "conflict with `{other}`, which manages the image of the API"
                )));
            }
            let ensured = api.apply(patch);
            api.own_image(changes);
            Ok((api.deployment.generation, ensured))
        })
        .await
    }
}

impl Canaries for World {
    async fn canary(&self) -> Result<Option<Deployment>> {
        self.look("canary", "", |state| Some(state.canary.deployment.clone()))
            .await
    }

    async fn ensure_canary(&self, patch: &DeploymentPatch, pods: u32) -> Result<i64> {
        self.effect("ensure_canary", &patch.image, |state| {
            let canary = &mut state.canary;
            let pods = i32::try_from(pods).unwrap_or(i32::MAX);
            let scaled = canary.deployment.wanted != pods;
            if scaled {
                canary.scale(pods);
            }
            let ensured = canary.apply(patch);
            if scaled && ensured == Ensured::AlreadySo {
                // The same template on other pods is a new generation too.
                canary.deployment.generation += 1;
            }
            let made = if scaled { Ensured::Made } else { ensured };
            Ok((canary.deployment.generation, made))
        })
        .await
    }

    async fn retire_canary(&self) -> Result<()> {
        self.effect("retire_canary", "", |state| {
            if state.canary.deployment.wanted == 0 {
                return Ok(((), Ensured::AlreadySo));
            }
            state.canary.scale(0);
            Ok(((), Ensured::Made))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use domain::layout::Location;

    use super::*;
    use crate::ready;

    fn patch(release: &str, extra: &str) -> DeploymentPatch {
        let variables = [
            ("DEPLOYMENT_ID", release),
            ("MODEL_URI", "s3://a/model"),
            (extra, "1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        DeploymentPatch {
            image: format!("r@sha256:{release}"),
            environment: variables.into(),
            annotations: BTreeMap::new(),
        }
    }

    fn world() -> World {
        let world = World::new();
        world.write(&Location::new("a", "model"), "model");
        world
    }

    fn rollout(world: &World) -> (i64, Rollout) {
        let now = ready(world.deployment()).unwrap().unwrap();
        (now.generation, now.rollout(now.generation))
    }

    #[test]
    fn a_rollout_is_observed_then_complete_and_a_repeat_starts_none() {
        let world = world();
        assert_eq!(rollout(&world), (1, Rollout::Complete));
        assert_eq!(ready(world.apply(&patch("a", "X"), true)).unwrap(), 2);
        for _ in 0..2 {
            assert!(matches!(rollout(&world), (2, Rollout::Progressing(_))));
            world.run_services();
        }
        assert_eq!(rollout(&world), (2, Rollout::Complete));
        assert_eq!(ready(world.apply(&patch("a", "X"), false)).unwrap(), 2);

        ready(world.apply(&patch("a", "Y"), false)).unwrap();
        let now = ready(world.deployment()).unwrap().unwrap();
        assert!(!now.environment.contains_key("X"));
    }

    #[test]
    fn a_paused_deployment_takes_a_patch_and_rolls_out_when_resumed() {
        let world = world();
        world.edit_deployment(|deployment| deployment.paused = true);
        ready(world.apply(&patch("a", "X"), true)).unwrap();
        for _ in 0..3 {
            world.run_services();
        }
        assert!(matches!(rollout(&world).1, Rollout::Stuck(_)));
        let now = ready(world.deployment()).unwrap().unwrap();
        assert_eq!((now.updated, now.available), (0, PODS));
        world.edit_deployment(|deployment| deployment.paused = false);
        assert!(matches!(rollout(&world).1, Rollout::Progressing(_)));
        world.run_services();
        assert_eq!(rollout(&world).1, Rollout::Complete);
    }

    #[test]
    fn another_manager_of_the_image_is_named_unless_forced() {
        let world = world();
        let error = ready(world.apply(&patch("a", "X"), false)).unwrap_err();
        assert!(error.to_string().contains("`kubectl`"), "{error}");
        ready(world.apply(&patch("a", "X"), true)).unwrap();
        let now = ready(world.deployment()).unwrap().unwrap();
        assert_eq!(now.image_managers, [FIELD_MANAGER]);
    }

    #[test]
    fn rollouts_stall_as_scripted_or_for_want_of_the_model() {
        let world = world();
        let fails = Outcome::Fails("crash loop".to_owned());
        world.script(|what| what == "rollout bad", fails);
        ready(world.apply(&patch("bad", "X"), true)).unwrap();
        world.run_services();
        world.run_services();
        assert!(matches!(rollout(&world).1, Rollout::Stuck(_)));

        let mut other_model = patch("good", "X");
        let digest = names::digest_bytes(b"another");
        other_model
            .environment
            .insert("MODEL_DIGEST".to_owned(), digest);
        ready(world.apply(&other_model, true)).unwrap();
        for _ in 0..3 {
            world.run_services();
        }
        assert!(matches!(rollout(&world).1, Rollout::Progressing(_)));

        let digest = names::digest_bytes(b"model");
        other_model
            .environment
            .insert("MODEL_DIGEST".to_owned(), digest);
        ready(world.apply(&other_model, true)).unwrap();
        world.run_services();
        world.run_services();
        assert_eq!(rollout(&world).1, Rollout::Complete);
    }
}
