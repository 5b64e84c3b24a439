//! SageMaker endpoints.

use domain::{
    Error, Result,
    ports::{Approval, Endpoint, EndpointSpec, Endpoints, Ensured},
};
use serde_json::json;

use crate::{World, envelope::sagemaker_arn, script::Outcome, state::State};

/// An endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// The configuration that serves; while creating, the first one.
    pub(crate) config: String,
    /// The configuration that it is changing to.
    pending: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) failure_reason: Option<String>,
}

impl State {
    fn report_endpoint(&mut self, name: &str, config: &str, status: &str) {
        let instances = self
            .endpoint_configs
            .get(config)
            .map(|spec| spec.instance_count);
        let arn = sagemaker_arn("endpoint", name);
        let detail = json!({
            "EndpointName": name,
            "EndpointArn": &arn,
            "EndpointConfigName": config,
            "ProductionVariants": [{
                "VariantName": "default",
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentInstanceCount": instances,
                "DesiredInstanceCount": instances,
            }],
            "EndpointStatus": status,
            // Milliseconds, as a floating-point number in AWS's sample.
            "LastModifiedTime": self.now.as_duration().as_secs_f64() * 1000.0,
        });
        self.report("Endpoint", arn, &detail);
    }
}

/// Ends the changes that end now. A failed update is `InService` again, on the old configuration.
pub(crate) fn run(state: &mut State) {
    let changing = state
        .endpoints
        .iter()
        .filter(|(_, served)| served.pending.is_some());
    let changing: Vec<_> = changing
        .map(|(name, served)| (name.clone(), served.clone()))
        .collect();
    for (name, mut served) in changing {
        let Some(pending) = served.pending.clone() else {
            continue;
        };
        let failure = match state.scripts.outcome("endpoint", &pending) {
            Outcome::Completes => None,
            Outcome::Fails(reason) => Some(reason),
            Outcome::Stops => Some("the change was stopped".to_owned()),
            Outcome::RunsOn => continue,
        };
        match &failure {
            None => {
                served.config = pending;
                served.status = "InService";
                state.report_endpoint(&name, &served.config, "IN_SERVICE");
            }
            Some(_) if served.status == "Creating" => {
                served.status = "Failed";
                state.report_endpoint(&name, &served.config, "FAILED");
            }
            Some(_) => {
                served.status = "InService";
                state.report_endpoint(&name, &served.config, "ROLLING_BACK");
                state.report_endpoint(&name, &served.config, "IN_SERVICE");
            }
        }
        served.pending = None;
        // An empty one stands for an update that comes back and doesn't say why.
        served.failure_reason = failure.filter(|reason| !reason.is_empty());
        state.endpoints.insert(name, served);
    }
}

fn ensure_config(state: &mut State, spec: &EndpointSpec) -> Result<()> {
    if let Some(known) = state.endpoint_configs.get(&spec.config) {
        let same = known.package_arn == spec.package_arn
            && known.instance_type == spec.instance_type
            && known.instance_count == spec.instance_count;
        return if same {
            Ok(())
        } else {
            Err(Error::permanent(format!(
                "the endpoint configuration {} has another package or other instances",
                spec.config
            )))
        };
    }
    let package = state.package(&spec.package_arn);
    if package.is_none_or(|package| package.approval != Approval::Approved) {
        return Err(Error::permanent(format!(
            "the model package {} isn't there or isn't approved",
            spec.package_arn
        )));
    }
    let config = EndpointSpec {
        update: None,
        ..spec.clone()
    };
    state.endpoint_configs.insert(spec.config.clone(), config);
    Ok(())
}

impl World {
    /// The endpoint still says why an update of before failed.
    pub fn remember_failure(&self, endpoint: &str, reason: &str) {
        let mut state = self.state.borrow_mut();
        if let Some(served) = state.endpoints.get_mut(endpoint) {
            served.failure_reason = Some(reason.to_owned());
        }
    }
}

impl Endpoints for World {
    async fn ensure_endpoint(&self, spec: &EndpointSpec) -> Result<Ensured> {
        self.effect("ensure_endpoint", &spec.endpoint, |state| {
            ensure_config(state, spec)?;
            let before = state.endpoints.get(&spec.endpoint).cloned();
            if let Some(served) = &before {
                if served.pending.as_ref() == Some(&spec.config) {
                    return Ok((Ensured::AlreadySo, Ensured::AlreadySo));
                }
                if served.pending.is_some() {
                    return Err(Error::transient(format!(
                        "the endpoint {} is {}",
                        spec.endpoint, served.status
                    )));
                }
                if served.status == "Failed" {
                    return Err(Error::permanent(format!(
                        "the endpoint {} is Failed: delete it",
                        spec.endpoint
                    )));
                }
            }
            let served = match before {
                Some(served) if served.config == spec.config => {
                    return Ok((Ensured::AlreadySo, Ensured::AlreadySo));
                }
                Some(served) => Served {
                    pending: Some(spec.config.clone()),
                    status: "Updating",
                    failure_reason: None,
                    ..served
                },
                None => Served {
                    config: spec.config.clone(),
                    pending: Some(spec.config.clone()),
                    status: "Creating",
                    failure_reason: None,
                },
            };
            let status = served.status.to_uppercase();
            state.report_endpoint(&spec.endpoint, &served.config, &status);
            state.endpoints.insert(spec.endpoint.clone(), served);
            Ok((Ensured::Made, Ensured::Made))
        })
        .await
    }

    async fn endpoint(&self, name: &str) -> Result<Option<Endpoint>> {
        self.look("endpoint", name, |state| {
            state.endpoints.get(name).map(|served| Endpoint {
                config: served.config.clone(),
                status: served.status.to_owned(),
                failure_reason: served.failure_reason.clone(),
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::{
        Class,
        ports::{PackageSpec, Registry as _},
    };

    use super::*;
    use crate::{envelope::assert_like_sample, ready};

    const NAME: &str = "retail-forecast-dev";

    fn package(world: &World, approval: Approval) -> String {
        let token = world.packages().len().to_string();
        let spec = PackageSpec {
            group: "g".to_owned(),
            description: String::new(),
            image: "i".to_owned(),
            model_uri: "u".to_owned(),
            approval,
            metadata: BTreeMap::from([("training_job".to_owned(), token.clone())]),
            metrics_uri: String::new(),
            client_token: token,
        };
        ready(world.register(&spec)).unwrap()
    }

    fn ensure(world: &World, config: &str, package_arn: &str) -> Result<Ensured> {
        ready(world.ensure_endpoint(&EndpointSpec {
            endpoint: NAME.to_owned(),
            config: config.to_owned(),
            package_arn: package_arn.to_owned(),
            role_arn: String::new(),
            instance_type: "ml.t2.medium".to_owned(),
            instance_count: 1,
            tags: BTreeMap::new(),
            update: None,
        }))
    }

    fn now(world: &World) -> (String, String) {
        let endpoint = ready(world.endpoint(NAME)).unwrap().unwrap();
        (endpoint.config, endpoint.status)
    }

    fn is(config: &str, status: &str) -> (String, String) {
        (config.to_owned(), status.to_owned())
    }

    #[test]
    fn a_failed_update_is_in_service_on_the_old_configuration() {
        let world = World::new();
        let good = package(&world, Approval::Approved);
        ensure(&world, "good", &good).unwrap();
        assert_eq!(now(&world), is("good", "Creating"));
        world.run_services();
        assert_eq!(now(&world), is("good", "InService"));
        assert_eq!(ensure(&world, "good", &good).unwrap(), Ensured::AlreadySo);
        let other_package = ensure(&world, "good", "arn:other").unwrap_err();
        assert_eq!(other_package.class(), Class::Permanent);

        let bad = package(&world, Approval::Approved);
        let out_of_memory = Outcome::Fails("out of memory".to_owned());
        world.script(|what| what == "endpoint bad", out_of_memory);
        ensure(&world, "bad", &bad).unwrap();
        assert_eq!(now(&world), is("good", "Updating"));
        assert_eq!(ensure(&world, "bad", &bad).unwrap(), Ensured::AlreadySo);
        let other = ensure(&world, "good", &good).unwrap_err();
        assert_eq!(other.class(), Class::Transient);

        let events = world.run_services();
        let kind = "endpoint-state-change";
        let [_registered, updating, rolling_back, in_service] = events.as_slice() else {
            panic!("{events:#?}");
        };
        assert_like_sample(updating, &format!("{kind}/updating"));
        assert_like_sample(rolling_back, &format!("{kind}/rolling-back"));
        assert_like_sample(in_service, &format!("{kind}/in-service-after-rollback"));
        let last = &in_service["detail"];
        assert_eq!(last["EndpointStatus"], "IN_SERVICE");
        assert_eq!(last["EndpointConfigName"], "good");
        assert_eq!(now(&world), is("good", "InService"));
        let endpoint = ready(world.endpoint(NAME)).unwrap().unwrap();
        assert_eq!(endpoint.failure_reason.as_deref(), Some("out of memory"));
    }

    #[test]
    fn an_endpoint_that_was_never_created_stays_failed() {
        let world = World::new();
        let arn = package(&world, Approval::Approved);
        world.script(|what| what.starts_with("endpoint "), Outcome::Stops);
        ensure(&world, "first", &arn).unwrap();
        world.run_services();
        assert_eq!(now(&world), is("first", "Failed"));
        let error = ensure(&world, "second", &arn).unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
    }

    #[test]
    fn only_an_approved_package_can_be_served() {
        let world = World::new();
        let arn = package(&world, Approval::PendingManualApproval);
        assert!(ensure(&world, "c", &arn).is_err());
        world.approve(&arn).unwrap();
        assert_eq!(ensure(&world, "c", &arn).unwrap(), Ensured::Made);
    }
}
