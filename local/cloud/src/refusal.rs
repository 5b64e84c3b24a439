//! What AWS would refuse, or silently not do, and the emulator lets pass: refused before anything
//! is deployed.

use std::{collections::BTreeMap, fmt};

use local_wire::iam::{Policy, Request};

use crate::{
    plan::{FunctionPlan, RulePlan},
    unenforced,
};

/// One thing that wouldn't work on AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The function it is about, as the project calls it.
    pub function: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.function, self.reason)
    }
}

/// Variables that Lambda sets itself and refuses to take.
const RESERVED_VARIABLES: [&str; 16] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
];

/// The variable that names what alarms invoke.
const ROLLBACK: &str = "ROLLBACK_FUNCTION_ARN";
/// Lambda's limit on a function's variables, names and values, bytes.
const ENVIRONMENT_BYTES: usize = 4096;
/// IAM's limit on a role's inline policies, characters without white space.
const POLICY_CHARACTERS: usize = 10_240;

/// All that AWS would refuse of these functions.
pub fn refusals(plans: &[FunctionPlan]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for plan in plans {
        let mut check = Check {
            plan,
            refusals: &mut refusals,
        };
        check.names();
        check.limits();
        check.environment();
        check.policy();
        check.queue();
        check.alarms(plans);
    }
    refusals
}

struct Check<'a> {
    plan: &'a FunctionPlan,
    refusals: &'a mut Vec<Refusal>,
}

impl Check<'_> {
    fn refuse_if(&mut self, refuse: bool, reason: impl FnOnce() -> String) {
        if refuse {
            let function = self.plan.key.clone();
            self.refusals.push(Refusal {
                function,
                reason: reason(),
            });
        }
    }

    fn names(&mut self) {
        let plan = self.plan;
        let rules = plan.rules.iter().map(|rule| ("rule", &rule.name, 64));
        for (what, name, most) in [
            ("function", &plan.name, 64),
            ("role", &plan.name, 64),
            ("queue", &plan.queue.name, 80),
            ("queue", &plan.dead_letters.name, 80),
        ]
        .into_iter()
        .chain(rules)
        {
            let length = name.len();
            self.refuse_if(length > most, || {
                format!("{what} name {name} has {length} characters, more than {most}")
            });
        }
    }

    fn limits(&mut self) {
        let limits = &self.plan.limits;
        for (what, value, least, most) in [
            ("memory_mb", limits.memory_mb, 128, 10_240),
            (
                "ephemeral_storage_mb",
                limits.ephemeral_storage_mb,
                512,
                10_240,
            ),
            ("timeout_s", limits.timeout_s, 1, 900),
            ("batch_size", limits.batch_size, 1, 10_000),
            ("batching_window_s", limits.batching_window_s, 0, 300),
            ("max_receive_count", limits.max_receive_count, 1, 1000),
            ("concurrency", limits.concurrency, 2, 1000),
        ] {
            self.refuse_if(!(least..=most).contains(&value), || {
                format!("{what} is {value}, outside {least} to {most}")
            });
        }
        self.refuse_if(
            limits.batch_size > 10 && limits.batching_window_s == 0,
            || {
                format!(
                    "a batch of {} messages needs a batching window of at least 1 s",
                    limits.batch_size
                )
            },
        );
    }

    fn environment(&mut self) {
        let environment = &self.plan.limits.environment;
        for name in RESERVED_VARIABLES {
            self.refuse_if(environment.contains_key(name), || {
                format!("environment variable {name} is reserved")
            });
        }
        let bytes: usize = environment
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.refuse_if(bytes > ENVIRONMENT_BYTES, || {
            format!("environment variables take {bytes} bytes, more than {ENVIRONMENT_BYTES}")
        });
    }

    fn policy(&mut self) {
        let text = self.plan.policy.to_string();
        let characters = text.chars().filter(|c| !c.is_whitespace()).count();
        self.refuse_if(characters > POLICY_CHARACTERS, || {
            format!("its policy has {characters} characters, more than {POLICY_CHARACTERS}")
        });
        let policy = match Policy::parse(&self.plan.policy) {
            Ok(policy) => policy,
            Err(error) => return self.refuse_if(true, || format!("its policy: {error}")),
        };
        for (action, resources) in policy.allowed() {
            self.refuse_if(action.contains(['*', '?']), || {
                format!("its policy allows {action}: name the actions")
            });
            let any = resources.iter().any(|resource| resource == "*");
            self.refuse_if(any && action.eq_ignore_ascii_case("iam:PassRole"), || {
                "its policy allows to pass any role".to_owned()
            });
        }
        for fault in unenforced::faults(self.plan) {
            self.refuse_if(true, || fault);
        }
    }

    /// An alarm that this function makes can't invoke what doesn't let alarms in.
    fn alarms(&mut self, plans: &[FunctionPlan]) {
        let Some(arn) = self.plan.limits.environment.get(ROLLBACK) else {
            return;
        };
        let (_, name) = arn.rsplit_once(':').unwrap_or_default();
        let lets_in = plans
            .iter()
            .any(|plan| plan.name == name && !plan.alarms.is_empty());
        self.refuse_if(!lets_in, || {
            format!("{ROLLBACK} is {arn}, which no alarm may invoke (invoked_by_alarms)")
        });
    }

    fn queue(&mut self) {
        let plan = self.plan;
        let (timeout, visibility) = (plan.limits.timeout_s, plan.queue.visibility_timeout_s);
        self.refuse_if(timeout > visibility, || {
            format!("its timeout of {timeout} s is longer than its queue's visibility timeout of {visibility} s")
        });
        self.refuse_if(plan.rules.is_empty(), || "no rule wakes it".to_owned());
        let policy = match plan.queue.policy.as_ref().map(Policy::parse).transpose() {
            Ok(policy) => policy,
            Err(error) => return self.refuse_if(true, || format!("its queue's policy: {error}")),
        };
        for rule in &plan.rules {
            self.refuse_if(rule.target != plan.queue.arn, || {
                format!(
                    "rule {} has the target {}, not its queue",
                    rule.name, rule.target
                )
            });
            let allowed = policy.as_ref().is_some_and(|policy| admits(policy, rule));
            self.refuse_if(!allowed, || {
                format!("its queue has no policy that lets rule {} send", rule.name)
            });
        }
    }
}

fn admits(policy: &Policy, rule: &RulePlan) -> bool {
    let context = BTreeMap::from([("aws:sourcearn".to_owned(), rule.arn.clone())]);
    let request = Request {
        action: "sqs:SendMessage",
        resource: &rule.target,
        context: &context,
    };
    policy.allows_service("events.amazonaws.com", &request)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::refusals;
    use crate::{
        names::Place,
        plan::{FunctionPlan, plan_function},
        settings::{FunctionSettings, Limits, Trigger},
    };

    const QUEUE: &str = "arn:aws:sqs:r:1:retail-forecast-dev-f";

    /// What each function has, and these.
    fn statement(actions: &Value, resource: &str) -> Value {
        let via = |service: &str| json!({"StringEquals": {"kms:ViaService": format!("{service}.r.amazonaws.com")}});
        let log = "arn:aws:logs:r:1:log-group:/aws/lambda/retail-forecast-dev-f:*";
        json!({"Statement": [
            {"Sid": "Receive", "Effect": "Allow", "Resource": QUEUE, "Action": ["sqs:ReceiveMessage",
                "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"]},
            {"Sid": "Bury", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": format!("{QUEUE}-dead-letters")},
            {"Sid": "Log", "Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": log},
            {"Sid": "Key", "Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": "arn:aws:kms:r:1:key/messages", "Condition": via("sqs")},
            {"Sid": "Read", "Effect": "Allow", "Action": actions, "Resource": resource},
        ]})
    }

    fn good() -> FunctionPlan {
        let place = Place {
            environment: "dev".to_owned(),
            region: "r".to_owned(),
            account: "1".to_owned(),
        };
        let trigger = Trigger::Pattern {
            bus: "default".to_owned(),
            pattern: json!({}),
        };
        let settings = FunctionSettings {
            limits: Limits {
                memory_mb: 128,
                ephemeral_storage_mb: 512,
                timeout_s: 30,
                batch_size: 10,
                batching_window_s: 0,
                max_receive_count: 5,
                concurrency: 2,
                vpc: false,
                oldest_message_s: 900,
                environment: BTreeMap::new(),
            },
            policy: statement(&json!("events:PutEvents"), "*"),
            rules: BTreeMap::from([("uploads".to_owned(), (String::new(), trigger))]),
            invoked_by_alarms: vec![],
        };
        plan_function("f", settings, &place)
    }

    type Breakage = fn(&mut FunctionPlan);

    #[test]
    fn a_good_plan_is_not_refused() {
        assert_eq!(refusals(&[good()]), []);
        let plan = good();
        assert_eq!(plan.queue.arn, QUEUE);
        assert_eq!(plan.queue.visibility_timeout_s, 180);
        assert_eq!(
            plan.rules[0].arn,
            "arn:aws:events:r:1:rule/retail-forecast-dev-f-uploads"
        );
    }

    #[test]
    fn what_aws_would_refuse_is_refused() {
        let table: [(Breakage, &str); 16] = [
            (|plan| plan.queue.policy = None, "no policy that lets rule"),
            (
                |plan| plan.rules[0].arn.push('x'),
                "no policy that lets rule",
            ),
            (
                |plan| plan.rules[0].target = "arn:aws:sqs:r:1:other".to_owned(),
                "not its queue",
            ),
            (|plan| plan.rules.clear(), "no rule wakes it"),
            (
                |plan| plan.limits.timeout_s = 181,
                "longer than its queue's visibility timeout",
            ),
            (
                |plan| plan.limits.ephemeral_storage_mb = 256,
                "ephemeral_storage_mb is 256, outside 512 to 10240",
            ),
            (
                |plan| plan.policy = statement(&json!("s3:Get*"), "x"),
                "its policy allows s3:Get*",
            ),
            (
                |plan| plan.policy = statement(&json!(["iam:PassRole"]), "*"),
                "any role",
            ),
            (
                |plan| plan.policy = json!({"Statement": []}),
                "may not sqs:DeleteMessage",
            ),
            (
                |plan| plan.policy = json!({}),
                "its policy: not a policy document",
            ),
            (
                |plan| plan.policy["Id"] = json!("x".repeat(10_240)),
                "more than 10240",
            ),
            (|plan| plan.name = "n".repeat(65), "role name"),
            (|plan| plan.rules[0].name = "r".repeat(65), "rule name"),
            (
                |plan| plan.limits.concurrency = 1,
                "concurrency is 1, outside 2 to 1000",
            ),
            (|plan| plan.limits.batch_size = 11, "batching window"),
            (
                |plan| {
                    let environment = &mut plan.limits.environment;
                    environment.insert("AWS_REGION".to_owned(), String::new());
                },
                "AWS_REGION is reserved",
            ),
        ];
        for (break_it, reason) in table {
            let mut plan = good();
            break_it(&mut plan);
            let refusals = refusals(&[plan]);
            let texts: Vec<_> = refusals.iter().map(ToString::to_string).collect();
            assert!(
                texts.iter().any(|text| text.contains(reason)),
                "{reason}: {texts:?}"
            );
        }
    }

    #[test]
    fn alarms_that_may_not_invoke_the_rollback_are_refused() {
        let mut plan = good();
        let arn = format!("arn:aws:lambda:r:1:function:{}", plan.name);
        let environment = &mut plan.limits.environment;
        environment.insert(super::ROLLBACK.to_owned(), arn);
        let refused = refusals(&[plan.clone()]);
        assert!(refused[0].to_string().contains("no alarm may invoke"));
        plan.alarms = vec!["arn:aws:cloudwatch:r:1:alarm:API-*".to_owned()];
        assert_eq!(refusals(&[plan]), []);
    }

    #[test]
    fn variables_that_lambda_has_no_room_for_are_refused() {
        let mut plan = good();
        plan.limits
            .environment
            .insert("A".to_owned(), "x".repeat(4096));
        assert!(refusals(&[plan])[0].to_string().contains("4097 bytes"));
    }
}
