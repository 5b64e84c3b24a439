#!/usr/bin/env bash
# The Kubernetes manifests of an environment.
#
#   manifests.sh render ENV   prints them, with what only the account knows
#   manifests.sh apply ENV    applies them to the environment's cluster
#
# AWS_ACCOUNT_ID   whose role the API has
# FORECAST_HOST    host name of the API; the load balancer's certificate is found by it
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?render or apply}
environment=${2:?dev, staging or prod}
case $environment in dev | staging | prod) ;; *) echo "ENV is \`$environment\`: dev, staging or prod expected" >&2; exit 2 ;; esac
[[ ${AWS_ACCOUNT_ID:-} =~ ^[0-9]{12}$ ]] || { echo "AWS_ACCOUNT_ID is \`${AWS_ACCOUNT_ID:-}\`: 12 digits expected" >&2; exit 2; }
[[ ${FORECAST_HOST:-} =~ ^[a-z0-9-]+(\.[a-z0-9-]+)+$ ]] || { echo "FORECAST_HOST is \`${FORECAST_HOST:-}\`: a host name expected, like forecast.example.com" >&2; exit 2; }

folder=target/k8s/$environment
namespace=retail-forecast-$environment

# A kustomization around the overlay: paths are from $folder.
kustomization() {
  mkdir -p "$folder"
  cat > "$folder/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../../../infra/k8s/overlays/$environment
components: [$1]
patches:
  - patch: |-
      apiVersion: v1
      kind: ServiceAccount
      metadata:
        name: retail-forecast-api
        annotations:
          eks.amazonaws.com/role-arn: arn:aws:iam::$AWS_ACCOUNT_ID:role/$namespace-api
  - target:
      kind: Ingress
      name: retail-forecast-ingress
    patch: |-
      - op: replace
        path: /spec/rules/0/host
        value: $FORECAST_HOST
YAML
}

case $what in
  render)
    kustomization ""
    ${KUSTOMIZE:-kubectl kustomize} "$folder"
    ;;
  apply)
    if [ -z "${KUBECONFIG:-}" ]; then
      export KUBECONFIG=$PWD/$folder/kubeconfig
      mkdir -p "$folder"
      aws eks update-kubeconfig --name "retail-mlops-$environment" --kubeconfig "$KUBECONFIG" >/dev/null
    fi
    # Once `deploy-release` has written a Deployment, its image isn't the manifests' any more.
    written() {
      local image
      image=$(kubectl get deployment "$1" --namespace "$namespace" --ignore-not-found \
        --output jsonpath='{.spec.template.spec.containers[0].image}') || exit 1
      case $image in "" | *:no-release-yet) return 1 ;; esac
    }
    components=
    ! written retail-forecast-api || components=../../../infra/k8s/components/deployed
    ! written retail-forecast-api-canary || components=$components${components:+, }../../../infra/k8s/components/tried-out
    kustomization "$components"
    kubectl apply --server-side --field-manager=retail-forecast-manifests --kustomize "$folder"
    ;;
  *) echo "manifests.sh: \`$what\` is neither render nor apply" >&2; exit 2 ;;
esac
