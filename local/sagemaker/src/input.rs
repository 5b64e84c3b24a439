//! Reading a request, and refusing it in the words of AWS's validation.

use serde_json::{Map, Value};

use crate::{
    error::ApiError,
    names::{is_name, is_role},
    store::S3Uri,
};

const NAME_PATTERN: &str = "^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}";
const S3_PATTERN: &str = "^(https|s3)://([^/]+)/?(.*)$";
const DESCRIPTION_PATTERN: &str = "[\\p{L}\\p{M}\\p{Z}\\p{S}\\p{N}\\p{P}]*";
const ROLE_PATTERN: &str = "^arn:aws[a-z\\-]*:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+$";

/// A request's body. Paths are the members' names joined by dots (`OutputDataConfig.S3OutputPath`);
/// a `null` member is an absent one.
#[derive(Debug, Clone)]
pub(crate) struct Input(Map<String, Value>);

impl Input {
    /// Parses a body; an empty one is an empty request.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        serde_json::from_slice(body)
            .map(Self)
            .map_err(|error| ApiError::serialization(error.to_string()))
    }

    /// A member.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let first = self.0.get(parts.next()?)?;
        parts
            .try_fold(first, |value, part| value.get(part))
            .filter(|value| !value.is_null())
    }

    /// A text member.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// A text member that the operation can't do without.
    pub(crate) fn required(&self, path: &str) -> Result<&str, ApiError> {
        self.text(path).ok_or_else(|| refuse(&[missing(path)]))
    }

    /// A whole-number member.
    pub(crate) fn integer(&self, path: &str) -> Option<i64> {
        self.at(path)?.as_i64()
    }

    /// A flag, false by default.
    pub(crate) fn flag(&self, path: &str) -> bool {
        self.at(path).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Elements of a list member; none when absent.
    pub(crate) fn list(&self, path: &str) -> &[Value] {
        self.at(path)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// A map of texts, such as `Environment`.
    pub(crate) fn texts(&self, path: &str) -> Vec<(String, String)> {
        texts(self.at(path))
    }

    /// The named members that are present, to be described back as they came.
    pub(crate) fn keep(&self, members: &[&str]) -> Map<String, Value> {
        members
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.at(name)?.clone())))
            .collect()
    }

    /// The whole request.
    pub(crate) fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Refuses a request that has one of the `members`, which this stand-in leaves out.
    pub(crate) fn without(&self, members: &[&str]) -> Result<(), ApiError> {
        members
            .iter()
            .find(|path| self.at(path).is_some())
            .map_or(Ok(()), |path| Err(ApiError::left_out(path)))
    }

    /// Refuses `path` unless it is absent or the one `value` that this stand-in offers.
    pub(crate) fn only(&self, path: &str, value: &str) -> Result<(), ApiError> {
        match self.text(path) {
            Some(given) if given != value => Err(ApiError::left_out(&format!("{path} {given}"))),
            _ => Ok(()),
        }
    }

    /// Starts the checks of this request.
    pub(crate) fn checks(&self) -> Checks<'_> {
        Checks {
            input: self,
            problems: Vec::new(),
        }
    }
}

/// The texts of a JSON object.
pub(crate) fn texts(value: Option<&Value>) -> Vec<(String, String)> {
    value
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Collects everything that is wrong with a request, since AWS reports it all at once.
#[derive(Debug)]
pub(crate) struct Checks<'a> {
    input: &'a Input,
    problems: Vec<String>,
}

impl Checks<'_> {
    /// The member must be there.
    pub(crate) fn required(mut self, path: &str) -> Self {
        if self.input.at(path).is_none() {
            self.problems.push(missing(path));
        }
        self
    }

    /// The member, where present, must be a SageMaker name.
    pub(crate) fn name(self, path: &str) -> Self {
        self.matching(path, is_name, NAME_PATTERN)
    }

    /// The member, where present, must be an S3 URI.
    pub(crate) fn s3_uri(self, path: &str) -> Self {
        self.matching(path, |text| S3Uri::parse(text).is_some(), S3_PATTERN)
    }

    /// The member, where present, must be the ARN of an IAM role.
    pub(crate) fn role(self, path: &str) -> Self {
        self.matching(path, is_role, ROLE_PATTERN)
    }

    /// The text, where present, must hold nothing invisible: no line breaks, no controls.
    pub(crate) fn one_line(self, path: &str) -> Self {
        self.matching(
            path,
            |text| !text.contains(char::is_control),
            DESCRIPTION_PATTERN,
        )
    }

    fn matching(mut self, path: &str, matches: fn(&str) -> bool, pattern: &str) -> Self {
        if let Some(text) = self.input.text(path)
            && !matches(text)
        {
            self.problems.push(constraint(
                &format!("'{text}'"),
                path,
                &format!("satisfy regular expression pattern: {pattern}"),
            ));
        }
        self
    }

    /// The member, where present, must be one of `allowed`.
    pub(crate) fn one_of(mut self, path: &str, allowed: &[&str]) -> Self {
        if let Some(text) = self.input.text(path)
            && !allowed.contains(&text)
        {
            self.problems.push(constraint(
                &format!("'{text}'"),
                path,
                &format!("satisfy enum value set: [{}]", allowed.join(", ")),
            ));
        }
        self
    }

    /// The whole number, where present, must lie between the two bounds, both included.
    pub(crate) fn between(mut self, path: &str, least: i64, most: i64) -> Self {
        if let Some(value) = self.input.integer(path) {
            if value < least {
                let rule = format!("have value greater than or equal to {least}");
                self.problems
                    .push(constraint(&format!("'{value}'"), path, &rule));
            } else if value > most {
                let rule = format!("have value less than or equal to {most}");
                self.problems
                    .push(constraint(&format!("'{value}'"), path, &rule));
            }
        }
        self
    }

    /// Texts, lists and maps, where present, must not be longer than `most`.
    pub(crate) fn length(mut self, path: &str, most: usize) -> Self {
        if let Some(value) = self.input.at(path) {
            let length = match value {
                Value::String(text) => text.chars().count(),
                Value::Array(items) => items.len(),
                Value::Object(members) => members.len(),
                _ => 0,
            };
            if length > most {
                let rule = format!("have length less than or equal to {most}");
                self.problems
                    .push(constraint(&format!("'{value}'"), path, &rule));
            }
        }
        self
    }

    /// Refuses the request when anything was wrong.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(refuse(&self.problems))
        }
    }
}

fn missing(path: &str) -> String {
    constraint("null", path, "not be null")
}

fn constraint(value: &str, path: &str, rule: &str) -> String {
    let path: Vec<String> = path.split('.').map(lower_camel).collect();
    format!(
        "Value {value} at '{}' failed to satisfy constraint: Member must {rule}",
        path.join(".")
    )
}

fn lower_camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

fn refuse(problems: &[String]) -> ApiError {
    let noun = if problems.len() == 1 {
        "error"
    } else {
        "errors"
    };
    ApiError::validation(format!(
        "{} validation {noun} detected: {}",
        problems.len(),
        problems.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(json: &str) -> Input {
        Input::parse(json.as_bytes()).expect("JSON object")
    }

    #[test]
    fn every_problem_is_reported_in_awss_words() {
        let request =
            input(r#"{"Job": {"Name": "a_b"}, "Count": 0, "Mode": "Pip", "Absent": null}"#);
        let error = request
            .checks()
            .required("Absent")
            .name("Job.Name")
            .between("Count", 1, 10)
            .one_of("Mode", &["File", "Pipe"])
            .finish()
            .expect_err("four problems");
        assert_eq!(error.code, "ValidationException");
        assert_eq!(
            error.message,
            "4 validation errors detected: \
             Value null at 'absent' failed to satisfy constraint: Member must not be null; \
             Value 'a_b' at 'job.name' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}; \
             Value '0' at 'count' failed to satisfy constraint: \
             Member must have value greater than or equal to 1; \
             Value 'Pip' at 'mode' failed to satisfy constraint: \
             Member must satisfy enum value set: [File, Pipe]"
        );
    }

    #[test]
    fn a_sound_request_passes() {
        let request = input(
            r#"{"Name": "a-b", "Uri": "s3://bucket/x", "Role": "arn:aws:iam::000000000000:role/r"}"#,
        );
        let checks = request.checks().required("Name").name("Name");
        assert_eq!(
            checks.s3_uri("Uri").role("Role").length("Name", 3).finish(),
            Ok(())
        );
        assert!(request.checks().length("Name", 2).finish().is_err());
    }

    #[test]
    fn what_is_left_out_is_refused_by_name() {
        let request = input(r#"{"VpcConfig": {}, "Mode": "Pipe"}"#);
        assert_eq!(request.without(&["Other"]), Ok(()));
        let error = request.without(&["VpcConfig"]).expect_err("left out");
        assert!(error.message.contains("VpcConfig"), "{}", error.message);
        assert!(request.only("Mode", "File").is_err());
        assert_eq!(request.only("Absent", "File"), Ok(()));
    }

    #[test]
    fn a_body_that_is_no_object_is_a_serialization_error() {
        let error = Input::parse(b"[1]").expect_err("not an object");
        assert_eq!(error.code, "SerializationException");
    }
}
