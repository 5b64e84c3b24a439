//! S3 and CloudWatch for the service; nothing where it needs neither.
//!
//! SageMaker hands the model over in a folder and measures endpoints itself. A pod fetches its
//! model and publishes its own metrics.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use aws::{CloudWatch, Context, Datum, RELEASE, S3};
use domain::alarms::OF_SERVICE;
use domain::layout::Location;
use domain::ports::ObjectStore as _;
use domain::settings::Settings as Environment;

use crate::serve::settings::Settings;
use crate::serve::source::{BoxFuture, FetchModel};
use crate::serve::telemetry::{PublishMetrics, REQUEST_COUNT};

/// Where the service's model comes from and its metrics go.
pub type Ports = (Arc<dyn FetchModel>, Arc<dyn PublishMetrics>);

/// Connects to what the settings need.
///
/// # Errors
///
/// The settings need AWS and the environment has no region or no credentials.
pub async fn connect(settings: &Settings) -> Result<Ports> {
    // Anything else that begins with `s3://` is refused where the URI is read.
    let from_s3 = settings
        .model_uri
        .as_deref()
        .is_some_and(|uri| Location::parse(uri).is_some());
    let measured = settings.namespace.is_some() && settings.release.is_some();
    if !from_s3 && !measured {
        return Ok((Arc::new(Nothing), Arc::new(Nothing)));
    }
    let environment = Environment::new(std::env::vars());
    let context = Context::for_pod(&environment)
        .await
        .map_err(|error| anyhow!(error.chain()))?;
    Ok((
        Arc::new(Models(S3::new(&context))),
        Arc::new(Metrics {
            cloudwatch: CloudWatch::new(&context),
            period: settings.metrics_period,
        }),
    ))
}

struct Models(S3);

impl FetchModel for Models {
    fn fetch<'a>(&'a self, bucket: &'a str, key: &'a str) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            let at = Location::new(bucket, key);
            match self
                .0
                .get(&at)
                .await
                .map_err(|error| anyhow!(error.chain()))?
            {
                Some(object) => Ok(object.bytes),
                None => bail!("there is no {at}"),
            }
        })
    }
}

struct Metrics {
    cloudwatch: CloudWatch,
    period: Duration,
}

impl PublishMetrics for Metrics {
    fn publish<'a>(
        &'a self,
        namespace: &'a str,
        release: &'a str,
        data: &'a [Datum],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let of_release = data.iter().map(|datum| ((RELEASE, release), datum.clone()));
            let count = data.iter().filter(|datum| datum.name == REQUEST_COUNT);
            let of_service = count.map(|datum| (OF_SERVICE, datum.clone()));
            let data: Vec<_> = of_release.chain(of_service).collect();
            let put = self.cloudwatch.put(namespace, &data, self.period);
            put.await.map_err(|error| anyhow!(error.chain()))
        })
    }
}

/// For a service that needs nothing from outside.
struct Nothing;

impl FetchModel for Nothing {
    fn fetch<'a>(&'a self, bucket: &'a str, key: &'a str) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(
            async move { bail!("s3://{bucket}/{key} is asked for, and MODEL_URI doesn't name it") },
        )
    }
}

impl PublishMetrics for Nothing {
    fn publish<'a>(&'a self, _: &'a str, _: &'a str, _: &'a [Datum]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
