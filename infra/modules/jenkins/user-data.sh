#!/bin/bash
# Makes the instance a Jenkins server: Docker, Java, Jenkins, kubectl and the AWS CLI.
set -euo pipefail

# Of the cluster's version, or one beside it.
KUBECTL_VERSION=v1.35.0

dnf upgrade -y
dnf install -y awscli-2 docker fontconfig git java-21-amazon-corretto-headless make

# Signed packages only.
curl -fsSL --retry 5 -o /etc/yum.repos.d/jenkins.repo https://pkg.jenkins.io/rpm-stable/jenkins.repo
rpm --import https://pkg.jenkins.io/rpm-stable/jenkins.io-2026.key
dnf install -y --setopt=jenkins.gpgcheck=1 jenkins

cd /tmp
curl -fsSL --retry 5 -O "https://dl.k8s.io/release/$KUBECTL_VERSION/bin/linux/amd64/kubectl"
curl -fsSL --retry 5 -O "https://dl.k8s.io/release/$KUBECTL_VERSION/bin/linux/amd64/kubectl.sha256"
echo "$(cat kubectl.sha256)  kubectl" | sha256sum --check
install -m 0755 kubectl /usr/local/bin/kubectl
rm kubectl kubectl.sha256

usermod -aG docker jenkins
systemctl daemon-reload
systemctl enable --now docker jenkins
