//! What the emulator lets pass whatever a policy says, held exactly: these grants are there, and no others of
//! their kind.
//!
//! - `logs:`: the emulator writes a function's log itself.
//! - `sqs:` of the event source mapping: the emulator polls by itself. (What the function does with its
//!   queues is enforced as well as compared.)
//! - `kms:`: nothing is encrypted by a key there.
//! - `s3:ListBucket`: a missing key reads 404 there; on AWS it reads 403 to who may not list the bucket,
//!   and no function could tell "not yet" from "not mine". Whoever reads keys of a bucket may list it.

use std::collections::BTreeSet;

use crate::{
    grants::{Grant, grants},
    plan::FunctionPlan,
};

/// An action, a resource, and for a key the services that it is used through.
type Call = (String, String, String);

/// Of what kind an action is here; `None` where the emulator or a stand-in enforces it.
#[must_use]
pub fn is_unenforced(grant: &Grant) -> bool {
    let poller = POLLER.contains(&grant.action.as_str());
    poller
        || ["logs:", "kms:", "s3:ListBucket"]
            .iter()
            .any(|kind| grant.action.starts_with(kind))
}

/// What the mapping's poller does with the function's role.
const POLLER: [&str; 3] = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
];
/// What the runtime does with each function's queue: a message that fails comes back later.
const DELAY: &str = "sqs:ChangeMessageVisibility";
/// And with its dead-letter queue: what can't be handled is kept with its reason.
const BURY: &str = "sqs:SendMessage";
const LOG: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];

/// What is missing of these grants, and what is too much.
pub(crate) fn faults(plan: &FunctionPlan) -> Vec<String> {
    let grants = match grants(&plan.policy) {
        Ok(grants) => grants,
        Err(error) => return vec![format!("its policy: {error}")],
    };
    let needed = needed(plan, &grants);
    let given: BTreeSet<Call> = grants
        .iter()
        .filter(|grant| is_unenforced(grant) || grant.action.starts_with("sqs:"))
        .flat_map(calls)
        .collect();
    let told = |(action, resource, via): &Call| {
        let via = if via.is_empty() {
            String::new()
        } else {
            format!(" through {via}")
        };
        format!("{action} on {resource}{via}")
    };
    let missing = needed
        .difference(&given)
        .map(|call| format!("its role may not {}, which it needs", told(call)));
    let surplus = given
        .difference(&needed)
        .map(|call| format!("its role may {}, and no call of it needs that", told(call)));
    missing.chain(surplus).collect()
}

fn needed(plan: &FunctionPlan, grants: &[Grant]) -> BTreeSet<Call> {
    let place = &plan.place;
    let mut needed = BTreeSet::new();
    let mut need = |action: &str, resource: &str, via: &str| {
        let via = if via.is_empty() {
            String::new()
        } else {
            format!("{via}.{}.amazonaws.com", place.region)
        };
        needed.insert((action.to_owned(), resource.to_owned(), via));
    };
    for action in LOG {
        let group = format!("log-group:/aws/lambda/{}:*", plan.name);
        need(action, &place.arn("logs", &group), "");
    }
    for action in POLLER.into_iter().chain([DELAY]) {
        need(action, &plan.queue.arn, "");
    }
    need(BURY, &plan.dead_letters.arn, "");
    // Who receives decrypts; who sends to an encrypted queue or topic asks for a data key and checks it.
    let may = |action: &str| grants.iter().any(|grant| grant.action == action);
    for service in ["sqs", "sns"] {
        if service == "sqs" || may("sns:Publish") {
            need("kms:Decrypt", &place.messages_key_arn(), service);
            need("kms:GenerateDataKey", &place.messages_key_arn(), service);
        }
    }
    if may("s3:GetObject") {
        need("kms:Decrypt", &place.data_key_arn(), "s3");
    }
    if may("s3:PutObject") {
        need("kms:GenerateDataKey", &place.data_key_arn(), "s3");
    }
    for read in grants.iter().filter(|grant| grant.action == "s3:GetObject") {
        let bucket = read.resource.split('/').next().unwrap_or_default();
        need("s3:ListBucket", bucket, "");
    }
    needed
}

/// One call for each service that a key's condition names. Any other condition makes another call of it,
/// which nothing needs.
fn calls(grant: &Grant) -> Vec<Call> {
    let call = |via: String| (grant.action.clone(), grant.resource.clone(), via);
    let services = &grant.condition["StringEquals"]["kms:ViaService"];
    let only = grant
        .condition
        .as_object()
        .is_some_and(|operators| operators.len() == 1)
        && grant.condition["StringEquals"]
            .as_object()
            .is_some_and(|keys| keys.len() == 1);
    match services {
        serde_json::Value::String(service) if only => vec![call(service.clone())],
        serde_json::Value::Array(services) if only => services
            .iter()
            .map(|service| call(service.as_str().unwrap_or_default().to_owned()))
            .collect(),
        _ if grant.condition.is_null() => vec![call(String::new())],
        _ => vec![call(grant.condition.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use serde_json::json;

    use super::is_unenforced;
    use crate::{
        grants::{Grant, document, grants},
        names::Place,
        plan::{FunctionPlan, plan},
        refusal::refusals,
        settings::Settings,
    };

    /// The project's own functions, as deployed.
    fn plans() -> Vec<FunctionPlan> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let settings = Settings::read(&root).unwrap();
        let place = Place {
            environment: "dev".to_owned(),
            region: "ap-southeast-1".to_owned(),
            account: "123456789012".to_owned(),
        };
        let names = place.names("http://service");
        plan(
            &settings,
            &place,
            "http://emulator",
            &names,
            &BTreeMap::new(),
        )
        .unwrap()
    }

    fn with(plan: &FunctionPlan, grants: &[Grant]) -> Vec<String> {
        let mut plan = plan.clone();
        plan.policy = document(grants);
        refusals(&[plan]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_any_grant_that_the_emulator_lets_pass_a_function_is_refused() {
        let (mut tried, mut policies) = (BTreeMap::<String, u32>::new(), 0);
        for mut plan in plans() {
            plan.limits.environment.clear();
            let all = grants(&plan.policy).unwrap();
            assert_eq!(with(&plan, &all), [""; 0]);
            policies += 1;
            for (n, grant) in all
                .iter()
                .enumerate()
                .filter(|(_, grant)| is_unenforced(grant))
            {
                let mut rest = all.clone();
                rest.remove(n);
                let refused = with(&plan, &rest);
                let named = refused.iter().any(|reason| {
                    reason.contains(&format!("may not {} on {}", grant.action, grant.resource))
                });
                assert!(named, "{}: without {grant:?}: {refused:?}", plan.key);
                let (service, _) = grant.action.split_once(':').unwrap();
                *tried.entry(service.to_owned()).or_default() += 1;
            }
        }
        println!("{policies} policies, removed in turn and refused: {tried:?}");
        assert_eq!(tried.len(), 4, "{tried:?}");
    }

    #[test]
    fn what_no_call_needs_is_refused() {
        let plans = plans();
        let notify = plans.iter().find(|plan| plan.key == "notify").unwrap();
        let all = grants(&notify.policy).unwrap();
        let via = |service: &str| json!({"StringEquals": {"kms:ViaService": format!("{service}.ap-southeast-1.amazonaws.com")}});
        let place = &notify.place;
        let key = place.data_key_arn();
        let mut looser = via("s3");
        looser["StringEquals"]["aws:PrincipalAccount"] = json!("1");
        for (action, resource, condition) in [
            ("kms:Decrypt", key.as_str(), via("sqs")),
            ("kms:Decrypt", &key, json!(null)),
            ("kms:Decrypt", "*", via("s3")),
            ("kms:Encrypt", &key, via("s3")),
            ("kms:Decrypt", &key, looser),
            ("logs:PutLogEvents", "*", json!(null)),
            ("logs:CreateLogGroup", "*", json!(null)),
            (
                "s3:ListBucket",
                &format!("arn:aws:s3:::{}", place.data_bucket()),
                json!(null),
            ),
            ("sqs:ReceiveMessage", &notify.dead_letters.arn, json!(null)),
            ("sqs:PurgeQueue", &notify.queue.arn, json!(null)),
        ] {
            let mut more = all.clone();
            more.push(Grant {
                sid: "More".to_owned(),
                action: action.to_owned(),
                resource: resource.to_owned(),
                condition,
            });
            let refused = with(notify, &more).join("\n");
            assert!(
                refused.contains(&format!("its role may {action} on {resource}"))
                    && refused.contains("no call of it needs that"),
                "{action} on {resource}: {refused}"
            );
        }
    }
}
