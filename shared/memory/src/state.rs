//! Everything that is in the world, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use domain::ports::{AlarmSpec, EndpointSpec};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    api::BrokenApi, cluster::Api, endpoints::Served, fault::Faults, images::Pushed,
    messages::Messages, objects::Objects, predictor::Predictors, registry::Registered,
    script::Scripts, traffic::Traffic, training::Trained, transforms::Transformed,
};

/// A SageMaker model: what a transform predicts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SageMakerModel {
    pub(crate) image: String,
    pub(crate) model_uri: String,
    pub(crate) environment: BTreeMap<String, String>,
}

/// The world.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    counter: u64,
    pub(crate) faults: Faults,
    pub(crate) scripts: Scripts,
    pub(crate) predictors: Predictors,
    pub(crate) broken_apis: Vec<BrokenApi>,
    /// Events that AWS has yet to send.
    pub(crate) events: Vec<Value>,
    pub(crate) objects: Objects,
    pub(crate) training_jobs: BTreeMap<String, Trained>,
    pub(crate) transform_jobs: BTreeMap<String, Transformed>,
    pub(crate) models: BTreeMap<String, SageMakerModel>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) packages: Vec<Registered>,
    pub(crate) endpoint_configs: BTreeMap<String, EndpointSpec>,
    pub(crate) endpoints: BTreeMap<String, Served>,
    pub(crate) images: Vec<Pushed>,
    pub(crate) alarms: BTreeMap<String, AlarmSpec>,
    /// The Deployment of the API.
    pub(crate) api: Option<Api>,
    /// The Deployment of its canary.
    pub(crate) canary: Api,
    pub(crate) traffic: Traffic,
    pub(crate) messages: Messages,
}

impl State {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            now,
            counter: 0,
            faults: Faults::default(),
            scripts: Scripts::default(),
            predictors: Predictors::default(),
            broken_apis: Vec::new(),
            events: Vec::new(),
            objects: Objects::default(),
            training_jobs: BTreeMap::new(),
            transform_jobs: BTreeMap::new(),
            models: BTreeMap::new(),
            groups: BTreeSet::new(),
            packages: Vec::new(),
            endpoint_configs: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            images: Vec::new(),
            alarms: BTreeMap::new(),
            api: Some(Api::placeholder()),
            canary: Api::no_canary(),
            traffic: Traffic::default(),
            messages: Messages::default(),
        }
    }

    /// The next number of a sequence that never repeats: event ids, entity tags, versions.
    pub(crate) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}
