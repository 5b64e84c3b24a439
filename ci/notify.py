"""Tells people how a pipeline run ended, where the chain can't: by the topic that it tells them by.

ENVIRONMENT, AWS_REGION   which environment
RESULT                    one word for the subject (failure)
BUILD_ID, REASON, RUN_URL what goes into the message
"""

import json
import os
import sys

import aws


def message(subject, text):
    """What each kind of subscriber gets: text, and for Slack (over HTTPS) a custom notification, since its service
    drops what is of no form that it knows. As shared/aws/src/sns.rs does it."""
    custom = {"version": "1.0", "source": "custom", "content": {"title": subject, "description": text}}
    return json.dumps({"default": text, "https": json.dumps(custom)})


def main():
    place = aws.Place.here()
    variable = lambda name, default: os.environ.get(name) or default
    subject = f"Retail Forecast Deployment: {variable('RESULT', 'failure')}"
    lines = [
        f"Environment: {place.environment}",
        f"Build: {variable('BUILD_ID', 'unknown')}",
        f"Reason: {variable('REASON', 'a step of the pipeline failed')}",
        f"Run: {variable('RUN_URL', 'unknown')}",
    ]
    try:
        aws.call("sns", "publish", "--topic-arn", place.topic, "--subject", subject,
                 "--message-structure", "json", "--message", message(subject, "\n".join(lines)))
    except aws.Failed as failed:
        sys.exit(str(failed))
    print(f"told {place.topic}: {subject}")


if __name__ == "__main__":
    main()
