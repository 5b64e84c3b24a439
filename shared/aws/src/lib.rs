//! The ports of `domain` over the AWS SDK and the Kubernetes API, each behind its cargo feature.
//!
//! A program builds one [`Context`] at start and from it only the clients it uses. Every error says
//! what was being done to what, and its class says what a repeat would do (see `failure.rs`).

// S3 uses all that the services share; a build without it leaves some of that unused.
#![cfg_attr(not(feature = "s3"), allow(dead_code))]

mod clock;
mod context;
mod failure;

#[cfg(feature = "cloudwatch")]
mod cloudwatch;
#[cfg(feature = "ecr")]
mod ecr;
#[cfg(feature = "eventbridge")]
mod eventbridge;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(feature = "probe")]
mod probe;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "sagemaker")]
mod sagemaker;
#[cfg(feature = "sns")]
mod sns;
#[cfg(feature = "sqs")]
mod sqs;

#[cfg(test)]
mod stub;

pub use clock::SystemClock;
pub use context::Context;

#[cfg(feature = "cloudwatch")]
pub use cloudwatch::{CloudWatch, Datum, RELEASE, ReleaseMetrics, Statistics, Unit};
#[cfg(feature = "ecr")]
pub use ecr::Ecr;
#[cfg(feature = "eventbridge")]
pub use eventbridge::EventBridge;
#[cfg(feature = "kubernetes")]
pub use kubernetes::{Kubernetes, Workload};
#[cfg(feature = "probe")]
pub use probe::{HttpApi, PROBE_TIMEOUT};
#[cfg(feature = "s3")]
pub use s3::S3;
#[cfg(feature = "sagemaker")]
pub use sagemaker::SageMaker;
#[cfg(feature = "sns")]
pub use sns::Sns;
#[cfg(feature = "sqs")]
pub use sqs::Sqs;
