//! The forecasting API, as its users reach it.

use std::{collections::BTreeMap, rc::Rc};

use domain::{
    Result, names,
    ports::{Answer, Api},
};
use serde_json::{Value, json};

use crate::{World, predictor::Row, state::State};

/// How the API of a release is broken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ApiFault {
    /// Every answer has this HTTP status.
    Status(u16),
    /// Every prediction is this, in units sold.
    Predicts(f64),
    /// Nothing answers.
    Silent,
}

/// A fault and the releases that have it.
#[derive(Clone)]
pub(crate) struct BrokenApi {
    matches: Rc<dyn Fn(&str) -> bool>,
    fault: ApiFault,
}

impl World {
    /// Breaks the API of the releases (`DEPLOYMENT_ID`) that match; a newer fault wins.
    pub fn break_api(&self, release: impl Fn(&str) -> bool + 'static, fault: ApiFault) {
        let matches = Rc::new(release);
        let mut state = self.state.borrow_mut();
        state.broken_apis.push(BrokenApi { matches, fault });
    }

    /// Takes back every [`World::break_api`].
    pub fn mend_api(&self) {
        self.state.borrow_mut().broken_apis.clear();
    }
}

fn answer(status: u16, body: Value) -> Answer {
    Answer {
        status,
        body,
        trouble: None,
    }
}

fn silence(trouble: &str) -> Answer {
    Answer {
        status: 0,
        body: Value::Null,
        trouble: Some(trouble.to_owned()),
    }
}

/// What the pods behind the Service have.
struct Pods<'a> {
    state: &'a State,
    variables: &'a BTreeMap<String, String>,
    image: &'a str,
    fault: Option<ApiFault>,
}

impl<'a> Pods<'a> {
    fn of(state: &'a State) -> Option<Self> {
        let api = state.api.as_ref()?;
        let variables = &api.serving;
        let release = variables.get("DEPLOYMENT_ID").map_or("", String::as_str);
        let mut broken = state.broken_apis.iter().rev();
        let broken = broken.find(|broken| (broken.matches)(release));
        Some(Self {
            state,
            variables,
            image: &api.serving_image,
            fault: broken.map(|broken| broken.fault),
        })
    }

    fn release(&self) -> Value {
        json!(self.variables.get("DEPLOYMENT_ID"))
    }

    /// The answer of broken pods, and of pods without a model.
    fn refusal(&self) -> Option<Answer> {
        match self.fault {
            Some(ApiFault::Status(status)) => {
                Some(answer(status, json!({ "error": "injected fault" })))
            }
            Some(ApiFault::Silent) => Some(silence("connection refused")),
            _ if self.variables.contains_key("MODEL_URI") => None,
            _ => Some(answer(503, json!({ "error": "no model" }))),
        }
    }

    fn predict(&self, row: &Row) -> f64 {
        let predictors = &self.state.predictors;
        predictors.distortion(self.image, self.variables) * predictors.of(self.model_uri())(row)
    }

    fn model_uri(&self) -> &str {
        self.variables.get("MODEL_URI").map_or("", String::as_str)
    }
}

fn health(pods: &Pods<'_>) -> Answer {
    let model = pods.state.objects.at_uri(pods.model_uri());
    answer(
        200,
        json!({
            "status": "ok",
            "release": pods.release(),
            "model_digest": model.map(names::digest_bytes),
        }),
    )
}

fn predict(pods: &Pods<'_>, request: &Value) -> Answer {
    let Some(row) = row(request) else {
        return answer(400, json!({ "error": "store_id, item_id, date expected" }));
    };
    let prediction = match pods.fault {
        Some(ApiFault::Predicts(wrong)) => wrong,
        _ => pods.predict(&row),
    };
    answer(
        200,
        json!({ "prediction": prediction, "fallback": null, "release": pods.release() }),
    )
}

fn row(request: &Value) -> Option<Row> {
    let (store, item) = (request["store_id"].as_u64()?, request["item_id"].as_u64()?);
    Some(Row {
        store: store.try_into().ok()?,
        item: item.try_into().ok()?,
        date: request["date"].as_str()?.parse().ok()?,
    })
}

/// What the Service answers; nothing does when there is no Deployment.
fn ask(state: &State, question: impl FnOnce(&Pods<'_>) -> Answer) -> Answer {
    match Pods::of(state) {
        Some(pods) => pods.refusal().unwrap_or_else(|| question(&pods)),
        None => silence("no endpoints of the service"),
    }
}

/// Answers come from the pods of the last rollout that completed, with the model of their
/// `MODEL_URI`; the placeholder's pods have none and answer 503.
impl Api for World {
    async fn health(&self) -> Result<Answer> {
        self.look("health", "", |state| ask(state, health)).await
    }

    async fn predict(&self, request: &Value) -> Result<Answer> {
        self.look("predict", "", |state| {
            ask(state, |pods| predict(pods, request))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        layout::Location,
        ports::{Cluster as _, DeploymentPatch},
    };

    use super::*;
    use crate::ready;

    fn deploy(world: &World, release: &str) {
        let uri = format!("s3://a/{release}/model.tar.gz");
        world.write(&Location::parse(&uri).unwrap(), release);
        let variables = [("DEPLOYMENT_ID", release), ("MODEL_URI", &uri)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let patch = DeploymentPatch {
            image: format!("r@{release}"),
            environment: variables.into(),
            annotations: BTreeMap::new(),
        };
        ready(world.apply(&patch, true)).unwrap();
    }

    fn roll_out(world: &World, release: &str) {
        deploy(world, release);
        world.run_services();
        world.run_services();
    }

    fn health(world: &World) -> Answer {
        ready(world.health()).unwrap()
    }

    fn predict(world: &World) -> Answer {
        let request = json!({ "store_id": 1, "item_id": 2, "date": "2024-03-04" });
        ready(world.predict(&request)).unwrap()
    }

    #[test]
    fn old_pods_answer_until_the_rollout_is_complete() {
        let world = World::new();
        world.predict_with(|uri| uri.contains("release-b"), |_| 7.0);
        assert_eq!(health(&world).status, 503);
        roll_out(&world, "release-a");
        assert_eq!(health(&world).body["release"], "release-a");
        let digest = names::digest_bytes(b"release-a");
        assert_eq!(health(&world).body["model_digest"], digest);

        deploy(&world, "release-b");
        world.run_services();
        assert_eq!(predict(&world).body["release"], "release-a");
        world.run_services();
        assert_eq!(
            predict(&world).body,
            json!({ "prediction": 7.0, "fallback": null, "release": "release-b" })
        );
        let malformed = ready(world.predict(&json!({ "store_id": 1 }))).unwrap();
        assert_eq!(malformed.status, 400);
    }

    #[test]
    fn a_fault_belongs_to_a_release() {
        let world = World::new();
        roll_out(&world, "release-a");
        world.break_api(|release| release == "release-a", ApiFault::Predicts(-1.0));
        assert_eq!(predict(&world).body["prediction"], -1.0);
        world.break_api(|release| release == "release-a", ApiFault::Status(500));
        assert_eq!(predict(&world).status, 500);
        world.break_api(|release| release == "release-a", ApiFault::Silent);
        assert_eq!(health(&world).status, 0);
        assert!(health(&world).trouble.is_some());

        roll_out(&world, "release-b");
        assert_eq!(health(&world).status, 200);
        roll_out(&world, "release-a");
        world.mend_api();
        assert_eq!(health(&world).status, 200);
    }
}
