//! From what the Kubernetes API says to what a repeat would do.

use domain::Error;
use kube::core::Status;

/// The error of a call. `doing` names the act and the Deployment.
pub(super) fn failure(doing: &str, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => refusal(doing, &status).because(kube::Error::Api(status)),
        kube::Error::Service(_) | kube::Error::HyperError(_) => {
            Error::transient(format!("{doing}: the cluster can't be reached")).because(error)
        }
        error => {
            Error::permanent(format!("{doing}: the call or its answer is wrong")).because(error)
        }
    }
}

fn refusal(doing: &str, status: &Status) -> Error {
    let message = &status.message;
    match status.code {
        // A token that ran out, too: the next try brings another.
        401 => Error::transient(format!(
            "{doing}: the cluster doesn't know the caller; its role needs an EKS access entry ({message})"
        )),
        403 => Error::permanent(format!("{doing}: access denied ({message})")),
        409 => Error::permanent(format!("{doing}: {}", conflict(status))),
        429 => Error::transient(format!("{doing}: {message}")),
        code if code >= 500 => Error::transient(format!("{doing}: {message}")),
        _ => Error::permanent(format!("{doing}: {} ({message})", status.reason)),
    }
}

/// Who owns which field, for each field that another manager holds.
fn conflict(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let owners: Vec<String> = causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    if owners.is_empty() {
        status.message.clone()
    } else {
        format!("another manager owns fields of ours: {}", owners.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Class;

    fn api(code: u16) -> Error {
        let status = Status::failure("said so", "Reason").with_code(code);
        failure("patching it", kube::Error::Api(status.boxed()))
    }

    #[test]
    fn what_a_repeat_would_do() {
        for (code, expected) in [
            (401, Class::Transient),
            (403, Class::Permanent),
            (404, Class::Permanent),
            (422, Class::Permanent),
            (429, Class::Transient),
            (503, Class::Transient),
        ] {
            assert_eq!(api(code).class(), expected, "{code}");
        }
        let unreachable = failure("patching it", kube::Error::Service("refused".into()));
        assert_eq!(unreachable.class(), Class::Transient);
    }

    #[test]
    fn a_conflict_names_the_manager_and_the_field() {
        let status: Status =
            serde_json::from_str(include_str!("../../fixtures/409-apply-conflict.json")).unwrap();
        let error = failure("patching it", kube::Error::Api(status.boxed()));
        assert_eq!(error.class(), Class::Permanent);
        assert_eq!(
            error.to_string(),
            "patching it: another manager owns fields of ours: .spec.template.spec.containers[name=\"api\"].image: conflict with \"retail-forecast-deployer\" using apps/v1"
        );
    }
}
