//! Errors as the SDKs read them.

/// An error answer: the SDK takes `code` for the error's type and shows `message`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ApiError {
    /// HTTP status.
    pub(crate) status: u16,
    /// Name of the error's shape (`ValidationException`).
    pub(crate) code: &'static str,
    /// What is wrong, for people.
    pub(crate) message: String,
}

impl ApiError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The request is malformed, or (as SageMaker has it) names something that doesn't exist.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// The name of a job is taken.
    pub(crate) fn in_use(message: impl Into<String>) -> Self {
        Self::new(400, "ResourceInUse", message)
    }

    /// A client token came back with another request.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(400, "ConflictException", message)
    }

    /// IAM refuses.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(400, "AccessDeniedException", message)
    }

    /// Not signed.
    pub(crate) fn unsigned() -> Self {
        Self::new(
            403,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )
    }

    /// The body isn't JSON.
    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new(400, "SerializationException", message)
    }

    /// No such operation, on AWS or here.
    pub(crate) fn unknown_operation(target: &str) -> Self {
        Self::new(
            400,
            "UnknownOperationException",
            format!("The local SageMaker has no operation {target:?}."),
        )
    }

    /// Something behind the service failed; the SDK retries.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalFailure", message)
    }

    /// A part of the API that this stand-in leaves out, named, instead of a silent difference.
    pub(crate) fn left_out(what: &str) -> Self {
        Self::validation(format!("The local SageMaker doesn't offer {what}."))
    }
}
