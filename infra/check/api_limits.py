"""Holds what Terraform would make to the limits that AWS's own models give for its calls: lengths, figures, patterns.

    api_limits.py STATE.json…    what `terraform show -json` says

The provider's schema has none of them; the provider itself would refuse some at plan, and AWS the rest at apply. ARNs are
left out, since the stand-in invents them. EC2's model has no limits: see limits.py.
"""

import json
import re
import sys
from collections.abc import Iterator

import botocore.session

# Which call makes a resource.
CALLS = {
    "aws_cloudwatch_dashboard": ("cloudwatch", "PutDashboard"),
    "aws_cloudwatch_event_archive": ("events", "CreateArchive"),
    "aws_cloudwatch_event_bus": ("events", "CreateEventBus"),
    "aws_cloudwatch_event_rule": ("events", "PutRule"),
    "aws_cloudwatch_log_group": ("logs", "CreateLogGroup"),
    "aws_cloudwatch_log_metric_filter": ("logs", "PutMetricFilter"),
    "aws_cloudwatch_log_resource_policy": ("logs", "PutResourcePolicy"),
    "aws_cloudwatch_metric_alarm": ("cloudwatch", "PutMetricAlarm"),
    "aws_eks_access_entry": ("eks", "CreateAccessEntry"),
    "aws_eks_addon": ("eks", "CreateAddon"),
    "aws_eks_cluster": ("eks", "CreateCluster"),
    "aws_eks_node_group": ("eks", "CreateNodegroup"),
    "aws_eks_pod_identity_association": ("eks", "CreatePodIdentityAssociation"),
    "aws_iam_role": ("iam", "CreateRole"),
    "aws_iam_role_policy": ("iam", "PutRolePolicy"),
    "aws_kms_alias": ("kms", "CreateAlias"),
    "aws_kms_key": ("kms", "CreateKey"),
    "aws_lambda_event_source_mapping": ("lambda", "CreateEventSourceMapping"),
    "aws_lambda_function": ("lambda", "CreateFunction"),
    "aws_lambda_permission": ("lambda", "AddPermission"),
    "aws_route53_zone": ("route53", "CreateHostedZone"),
}
# Attributes that are called otherwise in the call.
CALLED = {
    ("aws_cloudwatch_event_archive", "name"): "ArchiveName",
    ("aws_cloudwatch_log_group", "name"): "logGroupName",
    ("aws_iam_role", "assume_role_policy"): "AssumeRolePolicyDocument",
    ("aws_iam_role", "name"): "RoleName",
    ("aws_iam_role_policy", "name"): "PolicyName",
    ("aws_iam_role_policy", "policy"): "PolicyDocument",
    ("aws_kms_alias", "name"): "AliasName",
    ("aws_lambda_function", "memory_size"): "MemorySize",
}
seen = 0


def resources(module: dict) -> Iterator[dict]:
    yield from (resource for resource in module.get("resources", []) if resource["mode"] == "managed")
    for child in module.get("child_modules", []):
        yield from resources(child)


def plain(name: str) -> str:
    return name.replace("_", "").lower()


def breaches(value, shape, where: str) -> Iterator[str]:
    """What of a value the call's shape doesn't allow."""
    global seen
    limits = shape.metadata
    if isinstance(value, list) and shape.type_name == "list":
        for each in value:
            yield from breaches(each, shape.member, where)
    elif isinstance(value, list) and shape.type_name == "structure":
        for each in value:
            yield from breaches(each, shape, where)
    elif isinstance(value, dict) and shape.type_name == "structure":
        members = {plain(name): member for name, member in shape.members.items()}
        for name, each in value.items():
            if plain(name) in members:
                yield from breaches(each, members[plain(name)], f"{where}.{name}")
    elif isinstance(value, str) and value and shape.type_name == "string" and not value.startswith("arn:"):
        seen += 1
        if not limits.get("min", 0) <= len(value) <= limits.get("max", len(value)):
            yield f"{where} has {len(value)} characters, {limits.get('min', 0)} to {limits.get('max')} allowed: {value[:60]}"
        # Python has no classes of Unicode, and a pattern of those forbids hardly anything.
        if limits.get("pattern") and "\\p{" not in limits["pattern"] and not re.fullmatch(limits["pattern"], value):
            yield f"{where} isn't of the form {limits['pattern']}: {value[:60]}"
    elif isinstance(value, int | float) and not isinstance(value, bool) and shape.type_name in ("integer", "long"):
        seen += 1
        if not limits.get("min", value) <= value <= limits.get("max", value):
            yield f"{where} is {value}, {limits.get('min')} to {limits.get('max')} allowed"


def main() -> int:
    session, bad = botocore.session.get_session(), 0
    for path in sys.argv[1:]:
        with open(path) as file:
            state = json.load(file)
        for resource in resources(state["values"]["root_module"]):
            kind = resource["type"]
            if kind not in CALLS:
                continue
            service, call = CALLS[kind]
            shape = session.get_service_model(service).operation_model(call).input_shape
            values = {CALLED.get((kind, name), name): value for name, value in resource["values"].items() if name not in ("id", "tags_all")}
            for breach in breaches(values, shape, resource["address"]):
                print(f"{path}: {breach}")
                bad += 1
    print(f"{seen} values")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
