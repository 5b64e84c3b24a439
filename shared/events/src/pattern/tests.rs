//! The behaviour as the EventBridge user guide and Event Ruler document it.
//!
//! The tables are lines of text: JSON as it stands in a pattern and in an event, then the outcome.

use serde_json::{Value, json};

use super::{DEFAULT_QUOTA_BYTES, MAX_BYTES, Pattern, PatternError};

fn matches(pattern: &Value, event: &Value) -> bool {
    Pattern::parse(pattern).unwrap().matches(event)
}

fn refused(pattern: &Value) -> PatternError {
    Pattern::parse(pattern).expect_err(&pattern.to_string())
}

/// The cells of each line of a table, without its comments.
fn rows<const CELLS: usize>(table: &str) -> impl Iterator<Item = [&str; CELLS]> {
    let lines = table.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
            cells.try_into().expect(line)
        })
}

fn value(cell: &str) -> Value {
    serde_json::from_str(cell).expect(cell)
}

/// The event of Event Ruler's README.
const INSTANCE_EVENT: &str = r#"{
    "version": "0",
    "id": "ddddd4-aaaa-7777-4444-345dd43cc333",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "012345679012",
    "time": "2017-10-02T16:24:49Z",
    "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-000000aaaaaa00000"],
    "detail": {
        "c-count": 5,
        "d-count": 3,
        "x-limit": 301.8,
        "source-ip": "10.0.0.33",
        "instance-id": "i-000000aaaaaa00000",
        "state": "running"
    }
}"#;

#[test]
fn documented_examples() {
    let event = value(INSTANCE_EVENT);
    let table = r#"
        {"detail-type": ["EC2 Instance State-change Notification"], "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-000000aaaaaa00000"], "detail": {"state": ["initializing", "running"]}} | true
        {"source": ["aws.ec2", "aws.fargate"]} | true
        {"source": ["aws.fargate"]} | false
        {"time": [{"prefix": "2017-10-02"}]} | true
        {"source": [{"suffix": "ec2"}]} | true
        {"source": [{"equals-ignore-case": "AWS.EC2"}]} | true
        {"detail": {"state": [{"anything-but": "initializing"}]}} | true
        {"detail": {"x-limit": [{"anything-but": 123}]}} | true
        {"detail": {"state": [{"anything-but": ["stopped", "overloaded"]}]}} | true
        {"detail": {"x-limit": [{"anything-but": [100, 200, 300]}]}} | true
        {"detail": {"state": [{"anything-but": {"prefix": "init"}}]}} | true
        {"detail": {"c-count": [{"numeric": [">", 0, "<=", 5]}], "d-count": [{"numeric": ["<", 10]}], "x-limit": [{"numeric": ["=", 3.018e2]}]}} | true
        {"detail": {"c-count": [{"exists": true}]}} | true
        {"detail": {"c-count": [{"exists": false}]}} | false
        {"time": [{"prefix": "2017-10-02"}], "detail": {"state": [{"anything-but": "initializing"}], "c-count": [{"numeric": [">", 0, "<=", 5]}], "d-count": [{"numeric": ["<", 10]}], "x-limit": [{"anything-but": [100, 200, 300]}]}} | true
    "#;
    for [pattern, expected] in rows(table) {
        assert_eq!(
            matches(&value(pattern), &event).to_string(),
            expected,
            "{pattern}"
        );
    }
}

/// One leaf, `f`, against one value of it.
#[test]
fn values_of_a_leaf() {
    let table = r#"
        # exact
        ["a"] | "a" | true
        ["a"] | "A" | false
        [""] | "" | true
        [""] | null | false
        [null] | null | true
        [null] | "null" | false
        [true] | true | true
        [true] | "true" | false
        [300] | 3.0e2 | true
        [300.0] | 300 | true
        [300] | "300" | false
        [123456789012345678] | 123456789012345679 | false
        [1, "b"] | "b" | true
        # prefix and suffix
        [{"prefix": "training/"}] | "training/sales_data.csv" | true
        [{"prefix": "training/"}] | "Training/sales_data.csv" | false
        [{"prefix": "training/"}] | "train" | false
        [{"prefix": ""}] | "anything" | true
        [{"prefix": "1"}] | 12 | false
        [{"suffix": ".csv"}] | "training/sales_data.csv" | true
        [{"suffix": ".csv"}] | "training/sales_data.csv.gz" | false
        # ignoring case
        [{"equals-ignore-case": "In_Service"}] | "IN_SERVICE" | true
        [{"equals-ignore-case": "In_Service"}] | "IN_SERVICES" | false
        [{"prefix": {"equals-ignore-case": "EventB"}}] | "eventbridge" | true
        [{"prefix": {"equals-ignore-case": "EventB"}}] | "my-eventbridge" | false
        [{"suffix": {"equals-ignore-case": ".PNG"}}] | "a.Png" | true
        [{"suffix": {"equals-ignore-case": ".PNG"}}] | "a.png.gz" | false
        # wildcard
        [{"wildcard": "dir/*.png"}] | "dir/a/b.png" | true
        [{"wildcard": "dir/*.png"}] | "dir/.png" | true
        [{"wildcard": "dir/*.png"}] | "dir.png" | false
        [{"wildcard": "*/lib/*"}] | "usr/lib/x" | true
        [{"wildcard": "*/lib/*"}] | "usr/lib" | false
        [{"wildcard": "a*b*c"}] | "a-b-b-c" | true
        [{"wildcard": "a*b*c"}] | "a-c-b" | false
        [{"wildcard": "aba*aba"}] | "aba" | false
        [{"wildcard": "*"}] | "" | true
        [{"wildcard": "*"}] | 5 | false
        [{"wildcard": "plain"}] | "plain" | true
        [{"wildcard": "plain"}] | "plainer" | false
        [{"wildcard": "a\\*b*"}] | "a*bc" | true
        [{"wildcard": "a\\*b*"}] | "axbc" | false
        [{"wildcard": "a\\\\*"}] | "a\\b" | true
        # numeric
        [{"numeric": [">", 10, "<=", 20]}] | 20 | true
        [{"numeric": [">", 10, "<=", 20]}] | 10 | false
        [{"numeric": [">=", 10, "<", 20]}] | 10.0 | true
        [{"numeric": [">=", 10, "<", 20]}] | 20 | false
        [{"numeric": ["<=", -1.5]}] | -1.5 | true
        [{"numeric": ["<", 5]}] | 5 | false
        [{"numeric": ["=", 5]}] | 5.0 | true
        [{"numeric": [">", 0]}] | "5" | false
        [{"numeric": [">", 0]}] | null | false
        # out of the range in which numbers are compared: epoch milliseconds
        [{"numeric": [">", 0]}] | 1583831889050 | false
        # anything-but
        [{"anything-but": "a"}] | "a" | false
        [{"anything-but": "a"}] | 5 | true
        [{"anything-but": "a"}] | null | true
        [{"anything-but": 5}] | 5.0 | false
        [{"anything-but": {"prefix": "run"}}] | "running" | false
        [{"anything-but": {"suffix": ".png"}}] | "a.png" | false
        [{"anything-but": {"suffix": [".png", ".gif"]}}] | "a.gif" | false
        [{"anything-but": {"suffix": [".png", ".gif"]}}] | "a.csv" | true
        [{"anything-but": {"equals-ignore-case": "a"}}] | "A" | false
        [{"anything-but": {"equals-ignore-case": ["a", "b"]}}] | "c" | true
        [{"anything-but": {"wildcard": "*/lib/*"}}] | "usr/lib/x" | false
        [{"anything-but": {"wildcard": "*/lib/*"}}] | "usr/bin/x" | true
        # only leaves exist; null is one, empty objects and arrays have none
        [{"exists": true}] | null | true
        [{"exists": true}] | {} | false
        [{"exists": true}] | [] | false
        [{"exists": true}] | {"g": 1} | false
        [{"exists": false}] | null | false
        [{"exists": false}] | [] | true
        [{"exists": false}] | {"g": 1} | true
        ["a", {"exists": false}] | "b" | false
        # any element of an array
        ["b", "c"] | ["a", "b"] | true
        ["c"] | ["a", "b"] | false
        ["b"] | [["a"], ["b"]] | true
        [{"anything-but": "a"}] | ["a", "b"] | true
        [{"anything-but": ["a", "b"]}] | ["a", "b"] | false
    "#;
    for [values, of_event, expected] in rows(table) {
        let outcome = matches(&json!({"f": value(values)}), &json!({"f": value(of_event)}));
        assert_eq!(outcome.to_string(), expected, "{values} on {of_event}");
    }
}

#[test]
fn a_missing_field_matches_only_its_absence() {
    let event = json!({"source": "aws.s3", "detail": {"a": 1}});
    let table = r#"
        [{"exists": false}] | true
        ["x", {"exists": false}] | true
        [{"exists": true}] | false
        [null] | false
        [{"anything-but": "x"}] | false
        [{"prefix": ""}] | false
    "#;
    for [values, expected] in rows(table) {
        for pattern in [
            json!({"detail": {"b": value(values)}}),
            json!({"b": value(values)}),
        ] {
            assert_eq!(matches(&pattern, &event).to_string(), expected, "{pattern}");
        }
    }
}

#[test]
fn fields_of_one_array_match_in_the_same_element() {
    let flat = json!({"employees": [
        {"firstName": "John", "lastName": "Doe"},
        {"firstName": "Anna", "lastName": "Smith"},
        {"firstName": "Peter", "lastName": "Jones"}
    ]});
    let nested = json!({"employees": [
        [{"firstName": "John", "lastName": "Doe"}, {"firstName": "Anna", "lastName": "Smith"}],
        [{"firstName": "Peter", "lastName": "Jones"}]
    ]});
    let table = r#"
        {"employees": {"firstName": ["Anna"]}} | true
        {"employees": {"firstName": ["Anna"], "lastName": ["Smith"]}} | true
        {"employees": {"firstName": ["Anna"], "lastName": ["Jones"]}} | false
        {"employees": {"firstName": ["Anna"]}, "$or": [{"employees": {"lastName": ["Jones"]}}, {"employees": {"lastName": ["Doe"]}}]} | false
        {"employees": {"firstName": ["Anna"]}, "$or": [{"employees": {"lastName": ["Jones"]}}, {"employees": {"lastName": ["Smith"]}}]} | true
        {"employees": {"firstName": ["Anna"], "middleName": [{"exists": false}]}} | true
    "#;
    for [pattern, expected] in rows(table) {
        for event in [&flat, &nested] {
            assert_eq!(
                matches(&value(pattern), event).to_string(),
                expected,
                "{pattern}"
            );
        }
    }
    // A field that some element has isn't absent, unless another field settles the element.
    let metrics = json!({"metrics": [{"id": "e1", "expression": "m1/m2"}, {"id": "m1"}]});
    let absent = json!([{"exists": false}]);
    assert!(!matches(
        &json!({"metrics": {"expression": absent}}),
        &metrics
    ));
    assert!(matches(
        &json!({"metrics": {"id": ["m1"], "label": absent}}),
        &metrics
    ));
    // A scalar of an array has no element of its own: it goes with the fields of any element.
    let mixed = json!({"f": ["a", {"k": 1}]});
    assert!(matches(&json!({"f": ["a"], "f.k": [1]}), &mixed));
}

#[test]
fn or_is_a_choice_of_objects() {
    let pattern = json!({
        "source": ["aws.cloudwatch"],
        "$or": [
            {"metricName": ["CPUUtilization", "ReadLatency"]},
            {
                "metricType": ["MetricType"],
                "namespace": ["AWS/EC2", "AWS/ES"],
                "$or": [{"metricId": [1234]}, {"spaceId": [1000]}]
            },
            {"scope": ["Service"]}
        ]
    });
    let table = r#"
        {"source": "aws.cloudwatch", "metricName": "ReadLatency"} | true
        {"source": "aws.cloudwatch", "scope": "Service"} | true
        {"source": "aws.s3", "scope": "Service"} | false
        {"source": "aws.cloudwatch"} | false
        {"source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/ES", "spaceId": 1000} | true
        {"source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/ES"} | false
    "#;
    for [event, expected] in rows(table) {
        assert_eq!(
            matches(&pattern, &value(event)).to_string(),
            expected,
            "{event}"
        );
    }
    // Choices at different levels are independent.
    let parallel = json!({
        "$or": [{"a": [1]}, {"b": [1]}],
        "detail": {"$or": [{"c": [1]}, {"d": [1]}]}
    });
    assert!(matches(&parallel, &json!({"b": 1, "detail": {"c": 1}})));
    assert!(!matches(&parallel, &json!({"a": 1, "b": 1, "detail": {}})));
}

#[test]
fn keys_are_joined_by_dots() {
    for [pattern] in rows(r#"{"a": {"b": {"c": ["on"]}}}"#).chain(rows(r#"{"a": {"b.c": ["on"]}}"#))
    {
        assert!(
            matches(&value(pattern), &json!({"a": {"b": {"c": "on"}}})),
            "{pattern}"
        );
        assert!(
            matches(&value(pattern), &json!({"a": {"b.c": "on"}})),
            "{pattern}"
        );
    }
}

#[test]
fn only_objects_are_events() {
    let pattern = Pattern::parse(&json!({"a": [{"exists": false}]})).unwrap();
    assert!(pattern.matches(&json!({})));
    for event in [json!([]), json!([{}]), json!("a"), json!(null)] {
        assert!(!pattern.matches(&event), "{event}");
    }
}

#[test]
fn errors_name_the_place() {
    let table = r#"
        [] | $ | must be a JSON object
        {} | $ | empty object
        {"detail": {}} | $.detail | empty object
        {"detail": {"a": []}} | $.detail.a | empty array
        {"source": "aws.s3"} | $.source | an object or an array
        {"detail": {"key": {"prefix": "a/"}}} | $.detail.key.prefix | an object or an array
        {"a": [["b"]]} | $.a[0] | must not be an array
        {"a": ["b", {}]} | $.a[1] | exactly one operator
        {"a": [{"prefix": "b", "suffix": "c"}]} | $.a[0] | exactly one operator
        {"a": [{"regex": "b"}]} | $.a[0] | unknown operator `regex`
        {"a": [{"cidr": "10.0.0.0/24"}]} | $.a[0] | `cidr` is not supported
        {"a": [{"prefix": 5}]} | $.a[0] | `prefix` can't take 5
        {"a": [{"prefix": {"suffix": "b"}}]} | $.a[0] | `prefix` can't take
        {"a": [{"wildcard": {"equals-ignore-case": "b"}}]} | $.a[0] | `wildcard` can't take
        {"a": [{"exists": "yes"}]} | $.a[0] | `exists` can't take
        {"a": [{"wildcard": "a**b"}]} | $.a[0] | `wildcard` can't take
        {"a": [{"wildcard": "a\\b"}]} | $.a[0] | `wildcard` can't take
        {"a": [{"wildcard": "a\\"}]} | $.a[0] | `wildcard` can't take
        {"a": [{"numeric": 5}]} | $.a[0] | `numeric` can't take
        {"a": [{"numeric": []}]} | $.a[0] | `numeric` can't take
        {"a": [{"numeric": ["!=", 5]}]} | $.a[0] | `numeric` can't take
        {"a": [{"numeric": [">", "5"]}]} | $.a[0] | `numeric` can't take
        {"a": [{"numeric": [">", 6e9]}]} | $.a[0] | `numeric` can't take
        {"a": [{"numeric": [">", 5, "<", 5]}]} | $.a[0] | `numeric` can't take
        {"a": [{"numeric": ["<", 1, ">", 5]}]} | $.a[0] | `numeric` can't take
        {"a": [{"anything-but": []}]} | $.a[0] | `anything-but` can't take
        {"a": [{"anything-but": [1, "b"]}]} | $.a[0] | `anything-but` can't take
        {"a": [{"anything-but": [true]}]} | $.a[0] | `anything-but` can't take
        {"a": [{"anything-but": 6e9}]} | $.a[0] | `anything-but` can't take
        {"a": [{"anything-but": {"prefix": ""}}]} | $.a[0] | `anything-but` can't take
        {"a": [{"anything-but": {"prefix": []}}]} | $.a[0] | `anything-but` can't take
        {"a": [{"anything-but": {"numeric": ["=", 1]}}]} | $.a[0] | `anything-but` can't take
        {"$or": [{"a": [1]}]} | $.$or | two objects or more
        {"$or": {"a": [1]}} | $.$or | two objects or more
        {"$or": [{"a": [1]}, 5]} | $.$or | two objects or more
        {"$or": [{"a": [1]}, {"prefix": ["b"]}]} | $.$or[1].prefix | can't name a field
        {"a": [1], "$or": [{"a": [2]}, {"b": [3]}]} | $.a | restricted elsewhere
    "#;
    for [pattern, path, problem] in rows(table) {
        let error = refused(&value(pattern));
        assert_eq!(error.path, path, "{pattern}");
        assert!(error.problem.contains(problem), "{pattern}: {error}");
    }
    assert_eq!(
        refused(&json!({"source": "aws.s3"})).to_string(),
        "event pattern at $.source: a field must have an object or an array of values"
    );
}

#[test]
fn limits() {
    let choices = |name: &str, count: i32| -> Vec<Value> {
        (0..count).map(|number| json!({name: [number]})).collect()
    };
    let product = |a, b| json!({"x": {"$or": choices("a", a)}, "y": {"$or": choices("b", b)}});
    assert!(Pattern::parse(&product(25, 40)).is_ok());
    assert!(refused(&product(25, 41)).problem.contains("more than 1000"));

    // `{"a":[""]}` is ten bytes.
    let sized = |bytes: usize| json!({"a": ["x".repeat(bytes - 10)]});
    for limit in [DEFAULT_QUOTA_BYTES, MAX_BYTES] {
        assert_eq!(Pattern::validate(&sized(limit), limit), Ok(()));
        assert!(Pattern::validate(&sized(limit + 1), limit).is_err());
    }
    let leaf = Pattern::validate(&json!({"a": "b"}), MAX_BYTES);
    assert_eq!(leaf.map_err(|error| error.path), Err("$.a".to_owned()));
}
