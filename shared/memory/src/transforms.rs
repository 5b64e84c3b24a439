//! Batch transforms of SageMaker.

use std::fmt::Write as _;

use domain::{
    Error, Result,
    layout::Location,
    ports::{Ensured, JobStatus, TransformJob, TransformSpec, Transforms},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    World,
    envelope::{epoch_ms, sagemaker_arn},
    predictor::Row,
    script::Outcome,
    state::{SageMakerModel, State},
};

/// A transform job.
#[derive(Debug, Clone)]
pub(crate) struct Transformed {
    pub(crate) spec: TransformSpec,
    pub(crate) status: JobStatus,
    pub(crate) failure_reason: Option<String>,
    started: Timestamp,
}

impl Transformed {
    fn detail(&self) -> Value {
        let spec = &self.spec;
        let mut detail = json!({
            "TransformJobName": spec.name,
            "TransformJobArn": sagemaker_arn("transform-job", &spec.name),
            "TransformJobStatus": self.status,
            "ModelName": spec.model_name,
            "TransformInput": {
                "DataSource": { "S3DataSource": { "S3DataType": "S3Prefix", "S3Uri": spec.input } },
                "ContentType": "text/csv",
                "CompressionType": "None",
                "SplitType": "Line",
            },
            "TransformOutput": {
                "S3OutputPath": spec.output,
                "Accept": "text/csv",
                "AssembleWith": "Line",
            },
            "TransformResources": { "InstanceType": spec.instance_type, "InstanceCount": 1 },
            "CreationTime": epoch_ms(self.started),
            "Tags": spec.tags,
        });
        if let Some(reason) = &self.failure_reason {
            detail["FailureReason"] = json!(reason);
        }
        detail
    }
}

fn report(state: &mut State, job: &Transformed) {
    let arn = sagemaker_arn("transform-job", &job.spec.name);
    state.report("Transform Job", arn, &job.detail());
}

/// Ends the jobs that end now, and writes the predictions of those that complete.
pub(crate) fn run(state: &mut State) {
    let running = state
        .transform_jobs
        .values()
        .filter(|job| !job.status.is_final());
    for mut job in running.cloned().collect::<Vec<_>>() {
        let end = match state.scripts.outcome("transform", &job.spec.name) {
            Outcome::Completes => match predictions(state, &job.spec) {
                Ok((at, text)) => {
                    state.store(&at, text.into_bytes());
                    (JobStatus::Completed, None)
                }
                Err(reason) => (JobStatus::Failed, Some(reason)),
            },
            Outcome::Fails(reason) => (JobStatus::Failed, Some(reason)),
            Outcome::Stops => (JobStatus::Stopped, None),
            Outcome::RunsOn => continue,
        };
        (job.status, job.failure_reason) = end;
        report(state, &job);
        state.transform_jobs.insert(job.spec.name.clone(), job);
    }
}

/// `row_id,prediction` lines for the `row_id,store,item,date` lines of the input, and where they go.
fn predictions(
    state: &State,
    spec: &TransformSpec,
) -> std::result::Result<(Location, String), String> {
    if state.objects.at_uri(&spec.model_uri).is_none() {
        return Err(format!("ClientError: no model at {}", spec.model_uri));
    }
    let input = state.objects.at_uri(&spec.input);
    let input = input.ok_or_else(|| format!("ClientError: no input at {}", spec.input))?;
    let input = std::str::from_utf8(input).map_err(|error| format!("ClientError: {error}"))?;
    let predict = state.predictors.of(&spec.model_uri);
    let factor = state.predictors.distortion(&spec.image, &spec.environment);
    let mut text = String::new();
    for line in input.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let row = match fields.as_slice() {
            [id, store, item, date] => Row::parse(store, item, date).map(|row| (id, row)),
            _ => None,
        };
        let Some((id, row)) = row else {
            return Err(format!(
                "AlgorithmError: `{line}` isn't row_id,store,item,date"
            ));
        };
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "{id},{}", factor * predict(&row));
    }
    let file = spec.input.rsplit('/').next().unwrap_or_default();
    let uri = format!("{}/{file}.out", spec.output.trim_end_matches('/'));
    let at = Location::parse(&uri).ok_or_else(|| format!("ClientError: no output at {uri}"))?;
    Ok((at, text))
}

impl Transforms for World {
    async fn ensure_transform(&self, spec: &TransformSpec) -> Result<Ensured> {
        self.effect("ensure_transform", &spec.name, |state| {
            let model = SageMakerModel {
                image: spec.image.clone(),
                model_uri: spec.model_uri.clone(),
                environment: spec.environment.clone(),
            };
            let known = state.models.get(&spec.model_name);
            if known.is_some_and(|known| *known != model) {
                return Err(Error::permanent(format!(
                    "the model {} has another image, artifact or environment",
                    spec.model_name
                )));
            }
            state.models.insert(spec.model_name.clone(), model);
            if let Some(Transformed { spec: known, .. }) = state.transform_jobs.get(&spec.name) {
                let same = known.model_name == spec.model_name
                    && known.input == spec.input
                    && known.output == spec.output;
                return if same {
                    Ok((Ensured::AlreadySo, Ensured::AlreadySo))
                } else {
                    Err(Error::permanent(format!(
                        "the transform job {} has another model, input or output",
                        spec.name
                    )))
                };
            }
            let job = Transformed {
                spec: spec.clone(),
                status: JobStatus::InProgress,
                failure_reason: None,
                started: state.now,
            };
            report(state, &job);
            state.transform_jobs.insert(spec.name.clone(), job);
            Ok((Ensured::Made, Ensured::Made))
        })
        .await
    }

    async fn transform(&self, name: &str) -> Result<Option<TransformJob>> {
        self.look("transform", name, |state| {
            state.transform_jobs.get(name).map(|job| TransformJob {
                name: name.to_owned(),
                status: job.status,
                failure_reason: job.failure_reason.clone(),
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{demand, envelope::assert_like_sample, ready};

    fn spec() -> TransformSpec {
        TransformSpec {
            name: "retail-forecast-build-1-candidate".to_owned(),
            model_name: "m".to_owned(),
            image: "i".to_owned(),
            model_uri: "s3://a/models/good/model.tar.gz".to_owned(),
            environment: BTreeMap::new(),
            role_arn: "r".to_owned(),
            input: "s3://a/datasets/0a/features/rows.csv".to_owned(),
            output: "s3://a/predictions/c/".to_owned(),
            key_arn: None,
            instance_type: "ml.m5.large".to_owned(),
            tags: BTreeMap::new(),
        }
    }

    fn transform(rows: &str) -> (World, TransformJob) {
        let world = World::new();
        world.predict_with(|uri| uri.contains("/good/"), |row| 2.0 * demand(row));
        world.write(&Location::parse(&spec().model_uri).unwrap(), "model");
        world.write(&Location::parse(&spec().input).unwrap(), rows);
        ready(world.ensure_transform(&spec())).unwrap();
        let events = world.run_services();
        assert_like_sample(&events[0], "transform-job-state-change/in-progress");
        assert_like_sample(&events[1], "transform-job-state-change/failed");
        let job = ready(world.transform(&spec().name)).unwrap().unwrap();
        (world, job)
    }

    #[test]
    fn predictions_are_those_of_the_model() {
        let (world, job) = transform("0,1,2,2024-03-04\n7,1,2,2024-03-05\n");
        assert_eq!(job.status, JobStatus::Completed);
        let at = Location::new("a", "predictions/c/rows.csv.out");
        // A Monday, then a Tuesday.
        assert_eq!(world.read(&at).unwrap(), b"0,50\n7,54\n");
    }

    #[test]
    fn an_image_or_a_setting_can_spoil_what_a_model_predicts() {
        for (image, setting, expected) in [("i", "2", 120.0), ("j", "2", 40.0), ("i", "1", 40.0)] {
            let world = World::new();
            world.predict_with(|_| true, |_| 40.0);
            world.distort(
                |image, environment| image == "i" && environment["A"] == "2",
                3.0,
            );
            world.write(&Location::parse(&spec().model_uri).unwrap(), "model");
            world.write(
                &Location::parse(&spec().input).unwrap(),
                "0,1,2,2024-03-04\n",
            );
            let spec = TransformSpec {
                image: image.to_owned(),
                environment: BTreeMap::from([("A".to_owned(), setting.to_owned())]),
                ..spec()
            };
            ready(world.ensure_transform(&spec)).unwrap();
            world.run_services();
            let at = Location::new("a", "predictions/c/rows.csv.out");
            let text = String::from_utf8(world.read(&at).unwrap()).unwrap();
            assert_eq!(text, format!("0,{expected}\n"), "{image} {setting}");
        }
    }

    #[test]
    fn a_name_belongs_to_one_job_and_a_model_name_to_one_model() {
        let (world, _) = transform("0,1,2,2024-03-04\n");
        let again = ready(world.ensure_transform(&spec())).unwrap();
        assert_eq!(again, Ensured::AlreadySo);
        let mut other_input = spec();
        other_input.input.push('2');
        assert!(ready(world.ensure_transform(&other_input)).is_err());
        let mut other_model = spec();
        other_model.name.push('2');
        other_model.model_uri.push('2');
        assert!(ready(world.ensure_transform(&other_model)).is_err());
    }

    #[test]
    fn rows_of_another_shape_fail_the_job() {
        let (_, job) = transform("0,1,2,2024-03-04,13\n");
        assert_eq!(job.status, JobStatus::Failed);
        assert!(job.failure_reason.unwrap().contains("row_id"));
    }
}
