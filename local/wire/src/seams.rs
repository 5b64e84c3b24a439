//! The seams between a service stand-in and the cloud it stands in.

use std::{future::Future, pin::Pin};

use serde_json::Value;

/// A future behind a pointer, so that the seams can be used as trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who signed a request, as its headers say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Access key id from the `Authorization` header's credential scope.
    pub access_key_id: String,
    /// `X-Amz-Security-Token`, present for role sessions.
    pub session_token: Option<String>,
}

impl Caller {
    /// Reads the caller from the values of the `Authorization` and `X-Amz-Security-Token` headers.
    /// `None` when the request isn't signed with AWS Signature Version 4.
    pub fn from_headers(authorization: &str, session_token: Option<&str>) -> Option<Self> {
        let (_, scope) = authorization.split_once("Credential=")?;
        let (access_key_id, _) = scope.split_once('/')?;
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            session_token: session_token.map(str::to_owned),
        })
    }
}

/// Why a call was refused, in the words IAM uses:
/// `User: {arn} is not authorized to perform: {action} on resource: {resource} because …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Decides whether a caller may perform an IAM action on a resource.
pub trait Authorize: Send + Sync + 'static {
    /// `action` is an IAM action (`sagemaker:CreateTrainingJob`), `resource` an ARN or `*`.
    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        action: &'a str,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<(), Refused>>;

    /// The same for a call that has condition keys of its own (in lower case,
    /// `cloudwatch:namespace`). Who doesn't know conditions leaves them out.
    fn check_with<'a>(
        &'a self,
        caller: &'a Caller,
        action: &'a str,
        resource: &'a str,
        _conditions: &'a [(&'a str, &'a str)],
    ) -> BoxFuture<'a, Result<(), Refused>> {
        self.check(caller, action, resource)
    }
}

/// Takes an event that an AWS service emits (a whole EventBridge envelope) to the deployed rules.
pub trait Deliver: Send + Sync + 'static {
    /// Delivers to each enabled rule of the default bus that matches; an error names the rule or
    /// target that couldn't be reached.
    fn deliver(&self, event: Value) -> BoxFuture<'_, Result<(), String>>;
}

/// How an alarm stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmState {
    /// Alarm name.
    pub name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Why, in CloudWatch's words.
    pub reason: String,
}

/// CloudWatch as another service uses it: its metrics go there, alarms are looked at there.
pub trait Watch: Send + Sync + 'static {
    /// `PutMetricData`, by the service itself: `data` is `MetricData`.
    fn put_metrics<'a>(
        &'a self,
        namespace: &'a str,
        data: Vec<Value>,
    ) -> BoxFuture<'a, Result<(), String>>;

    /// `DescribeAlarms`, as the role that the service was passed. Alarms that aren't there are left out.
    fn alarms<'a>(
        &'a self,
        role_arn: &'a str,
        names: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<AlarmState>, String>>;
}

/// What an image reference runs on this machine: there are no layers here, an image names programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// Program for `docker run IMAGE train`; `None` when the image can't train.
    pub train: Option<std::path::PathBuf>,
    /// Program for `docker run IMAGE serve`, also a pod's entry point; `None` when it can't serve.
    pub serve: Option<std::path::PathBuf>,
    /// The image's own environment (`ENV` lines); the job's or pod's wins over it.
    pub environment: std::collections::BTreeMap<String, String>,
}

/// Finds what an image reference (`{registry}/{repository}@sha256:…` or `…:tag`) runs.
pub trait Images: Send + Sync + 'static {
    /// `Ok(None)` when no such image was pushed.
    fn resolve<'a>(
        &'a self,
        reference: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageSpec>, String>>;
}
