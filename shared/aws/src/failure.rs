//! From what the SDK says to what a repeat would do: the one place that gives errors their class.

use std::{error::Error as StdError, fmt::Display};

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use domain::{Class, Error};

/// Codes of refusals that pass by themselves. Anything with `Throttl` in it and any 5xx or 429 joins
/// them. Credentials that ran out are among them, because the next environment brings new ones.
const PASSING: [&str; 17] = [
    "BandwidthLimitExceeded",
    "ConcurrentModificationException",
    // S3's 409 to a conditional write.
    "ConditionalRequestConflict",
    // SageMaker's, when two change a model package at once.
    "ConflictException",
    "ExpiredToken",
    "ExpiredTokenException",
    "LimitExceededException",
    // S3's 409 to a write beside another one.
    "OperationAborted",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "ResourceLimitExceeded",
    "SlowDown",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Codes of a denial by IAM, by a resource's policy or by a key's policy.
const DENIED: [&str; 7] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "KMSAccessDenied",
    "KMSAccessDeniedException",
    "UnauthorizedOperation",
];

/// The error of a call. `doing` names the act and the thing (`reading s3://bucket/key`), `action` the
/// permission it takes (`s3:GetObject`).
pub(crate) fn failed<E>(
    doing: impl Display,
    action: &str,
    error: SdkError<E, HttpResponse>,
) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    let status = status(&error);
    let code = error.code().map(str::to_owned);
    let says = match (&code, error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.clone(),
        (None, Some(message)) => message.to_owned(),
        (None, None) => status.map_or_else(String::new, |status| format!("HTTP {status}")),
    };
    let failure = match &error {
        SdkError::ServiceError(_) if is_denied(code.as_deref(), status) => Error::permanent(
            // IAM takes a moment to learn of a new permission, but a denial is far more often a
            // permission that nobody gave, and retrying hides it.
            format!("{doing}: access denied; the caller needs {action} ({says})"),
        ),
        SdkError::ServiceError(_) => match class(code.as_deref(), status) {
            Class::Transient => Error::transient(format!("{doing}: {says}")),
            _ => Error::permanent(format!("{doing}: {says}")),
        },
        SdkError::ConstructionFailure(_) => {
            Error::permanent(format!("{doing}: the request can't be built"))
        }
        SdkError::TimeoutError(_) => Error::transient(format!("{doing}: no answer in time")),
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            Error::permanent(format!("{doing}: the request can't be sent"))
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Error::transient(format!("{doing}: no answer in time"))
        }
        SdkError::DispatchFailure(_) => {
            Error::transient(format!("{doing}: the service can't be reached"))
        }
        _ => Error::transient(format!("{doing}: the answer can't be read")),
    };
    // A service's refusal says nothing more than its code and message.
    if matches!(error, SdkError::ServiceError(_)) && code.is_some() {
        return failure;
    }
    match error.into_source() {
        Ok(source) => failure.because(source),
        Err(error) => failure.because(error),
    }
}

/// HTTP status of the answer, when there was one.
pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// What a repeat of a refused call would do.
pub(crate) fn class(code: Option<&str>, status: Option<u16>) -> Class {
    let passing = code.is_some_and(|code| PASSING.contains(&code) || code.contains("Throttl"))
        || status.is_some_and(|status| status >= 500 || status == 429);
    if passing {
        Class::Transient
    } else {
        Class::Permanent
    }
}

fn is_denied(code: Option<&str>, status: Option<u16>) -> bool {
    match code {
        Some(code) => DENIED.contains(&code),
        None => status == Some(403),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::{
        client::result::ConnectorError,
        http::{Response, StatusCode},
    };
    use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};

    /// A service's refusal as the SDK hands it over.
    #[derive(Debug)]
    struct Refusal(ErrorMetadata);

    impl Display for Refusal {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("refused")
        }
    }

    impl StdError for Refusal {}

    impl ProvideErrorMetadata for Refusal {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn refused(status: u16, code: &str, message: &str) -> Error {
        let metadata = ErrorMetadata::builder().code(code).message(message).build();
        let response = Response::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        failed(
            "reading s3://b/k",
            "s3:GetObject",
            SdkError::service_error(Refusal(metadata), response),
        )
    }

    #[test]
    fn what_a_repeat_would_do() {
        for (status, code, expected) in [
            (400, "ThrottlingException", Class::Transient),
            (503, "SlowDown", Class::Transient),
            (500, "InternalError", Class::Transient),
            (429, "Whatever", Class::Transient),
            (400, "ResourceLimitExceeded", Class::Transient),
            (400, "ExpiredTokenException", Class::Transient),
            (400, "KMSThrottlingException", Class::Transient),
            (400, "ConflictException", Class::Transient),
            (409, "OperationAborted", Class::Transient),
            (400, "ValidationException", Class::Permanent),
            (403, "AccessDenied", Class::Permanent),
            (403, "SignatureDoesNotMatch", Class::Permanent),
            (404, "NoSuchBucket", Class::Permanent),
        ] {
            assert_eq!(
                refused(status, code, "").class(),
                expected,
                "{status} {code}"
            );
        }
    }

    #[test]
    fn a_denial_names_act_thing_and_permission() {
        assert_eq!(
            refused(
                400,
                "AccessDeniedException",
                "no identity-based policy allows it"
            )
            .to_string(),
            "reading s3://b/k: access denied; the caller needs s3:GetObject (AccessDeniedException: no identity-based policy allows it)"
        );
    }

    #[test]
    fn a_refusals_words_are_said_once() {
        let error = refused(400, "ValidationException", "1 validation error");
        assert_eq!(
            error.chain(),
            "reading s3://b/k: ValidationException: 1 validation error"
        );
    }

    #[test]
    fn no_answer_may_come_later_and_a_bad_request_never_does() {
        let doing = |error: SdkError<Refusal, HttpResponse>| failed("doing", "s3:GetObject", error);
        for (error, expected) in [
            (SdkError::timeout_error("late"), Class::Transient),
            (
                SdkError::dispatch_failure(ConnectorError::io("connection refused".into())),
                Class::Transient,
            ),
            (
                SdkError::dispatch_failure(ConnectorError::user("not a URL".into())),
                Class::Permanent,
            ),
            (SdkError::construction_failure("no key"), Class::Permanent),
        ] {
            let error = doing(error);
            assert_eq!(error.class(), expected, "{}", error.chain());
            assert!(std::error::Error::source(&error).is_some());
        }
    }
}
