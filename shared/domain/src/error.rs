//! One error type with a class, because the class decides what happens to the message that caused it.

/// Result of everything that can fail for a reason outside the decision rules.
pub type Result<T> = std::result::Result<T, Error>;

/// What a repeat of the same event would do; shown to Lambda as the error type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Class {
    /// The message itself can't be understood: it goes to the dead-letter queue at once.
    Malformed,
    /// The world refuses, and will refuse again: to the dead-letter queue at once.
    Permanent,
    /// May succeed later: the message comes back.
    Transient,
}

impl Class {
    /// The word that logs, Lambda and the dead-letter queue show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "Malformed",
            Self::Permanent => "Permanent",
            Self::Transient => "Transient",
        }
    }
}

/// An error: its class, what was being done to what, and the cause.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    class: Class,
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// The message can't be understood; say where and what was expected.
    pub fn malformed(what: impl Into<String>) -> Self {
        Self {
            class: Class::Malformed,
            what: what.into(),
            source: None,
        }
    }

    /// A repeat can't succeed; say what a person has to do.
    pub fn permanent(what: impl Into<String>) -> Self {
        Self {
            class: Class::Permanent,
            what: what.into(),
            source: None,
        }
    }

    /// A repeat may succeed.
    pub fn transient(what: impl Into<String>) -> Self {
        Self {
            class: Class::Transient,
            what: what.into(),
            source: None,
        }
    }

    /// Keeps the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a repeat would do.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The message followed by each cause.
    pub fn chain(&self) -> String {
        let mut text = self.what.clone();
        let mut cause: Option<&dyn std::error::Error> =
            self.source.as_deref().map(|source| source as _);
        while let Some(error) = cause {
            let message = error.to_string();
            if !text.contains(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            cause = error.source();
        }
        text
    }
}
