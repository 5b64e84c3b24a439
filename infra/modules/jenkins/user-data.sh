#!/bin/bash
# Makes the instance a Jenkins server that can run the Jenkinsfile: Docker, Java, Jenkins, kubectl and the AWS CLI,
# and what the steps call. Ubuntu 24.04 has all of it but what is added here; the steps install the Rust they pin.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

# Of the cluster's version, or one beside it.
KUBECTL_VERSION=v1.35.0

# Two compilations beside each other need more memory than the smallest servers have.
if [ ! -e /swapfile ]; then
  fallocate -l 8G /swapfile
  chmod 0600 /swapfile
  mkswap /swapfile
  echo '/swapfile none swap sw 0 0' >> /etc/fstab
  swapon -a
fi

# Signed packages only: each repository has its key.
repository() {
  curl -fsSL --retry 5 "$2" | gpg --dearmor --yes -o "/usr/share/keyrings/$1.gpg"
  echo "deb [signed-by=/usr/share/keyrings/$1.gpg] $3" > "/etc/apt/sources.list.d/$1.list"
}
repository jenkins https://pkg.jenkins.io/debian-stable/jenkins.io-2026.key 'https://pkg.jenkins.io/debian-stable binary/'
repository trivy https://aquasecurity.github.io/trivy-repo/deb/public.key 'https://aquasecurity.github.io/trivy-repo/deb generic main'
apt-get update
apt-get upgrade -y
# Jenkins starts with the Java that it finds.
apt-get install -y fontconfig openjdk-21-jre-headless
apt-get install -y buildah docker.io gcc git jenkins jq make nodejs npm pkg-config python3 python3-venv rustup skopeo trivy uidmap
snap install aws-cli --classic

cd /tmp
curl -fsSL --retry 5 -O "https://dl.k8s.io/release/$KUBECTL_VERSION/bin/linux/amd64/kubectl"
curl -fsSL --retry 5 -O "https://dl.k8s.io/release/$KUBECTL_VERSION/bin/linux/amd64/kubectl.sha256"
echo "$(cat kubectl.sha256)  kubectl" | sha256sum --check
install -m 0755 kubectl /usr/local/bin/kubectl
rm kubectl kubectl.sha256

# buildah builds as this user, which needs users of its own to give away.
usermod -aG docker --add-subuids 200000-265535 --add-subgids 200000-265535 jenkins
systemctl daemon-reload
systemctl enable docker jenkins
systemctl restart docker jenkins
