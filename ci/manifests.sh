#!/usr/bin/env bash
# The Kubernetes manifests of an environment.
#
#   manifests.sh render ENV   prints them, with what only the environment's owner knows
#   manifests.sh apply ENV    applies them to the environment's cluster
#
# FORECAST_HOST        host name by which callers outside the network reach the API: a second load balancer, whose
#                      certificate is found by it. Empty: the API is reached inside the network only
# ACCESS_LOGS_BUCKET   bucket of the load balancers' access logs (Terraform's output `logs_bucket_name`); none if empty
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?render or apply}
environment=${2:?dev, staging or prod}
host=${FORECAST_HOST:-}
logs=${ACCESS_LOGS_BUCKET:-}
case $environment in dev | staging | prod) ;; *) echo "ENV is \`$environment\`: dev, staging or prod expected" >&2; exit 2 ;; esac
[[ $host =~ ^([a-z0-9-]+(\.[a-z0-9-]+)+)?$ ]] || { echo "FORECAST_HOST is \`$host\`: a host name expected, like forecast.example.com" >&2; exit 2; }
[[ $logs =~ ^([a-z0-9][a-z0-9.-]+[a-z0-9])?$ ]] || { echo "ACCESS_LOGS_BUCKET is \`$logs\`: a bucket's name expected" >&2; exit 2; }

folder=target/k8s/$environment
namespace=retail-forecast-$environment

# patch NAME PATH VALUE: a value of an Ingress, by its name or an expression for several.
patch() {
  cat <<YAML
  - target:
      kind: Ingress
      name: $1
    patch: |-
      - op: replace
        path: $2
        value: $3
YAML
}

# kustomization COMPONENT…: one around the overlay. Paths are from $folder; namespace and labels are the overlay's,
# for what a component adds beside it.
kustomization() {
  local annotations=/metadata/annotations/alb.ingress.kubernetes.io~1
  local parts=../../../infra/k8s
  [ -z "$host" ] || set -- public "$@"
  mkdir -p "$folder"
  {
    cat <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: $namespace
labels:
  - pairs:
      app.kubernetes.io/part-of: retail-forecast
      retail-forecast/environment: $environment
resources: [$parts/overlays/$environment]
components: [$(for component in "$@"; do printf '%s, ' "$parts/components/$component"; done)]
patches:
YAML
    if [ -n "$host" ]; then
      patch retail-forecast-public /spec/rules/0/host "$host"
      patch retail-forecast-public "${annotations}load-balancer-name" "$namespace-public"
    fi
    if [ -n "$logs" ]; then
      patch '.*' "${annotations}load-balancer-attributes" "routing.http.drop_invalid_header_fields.enabled=true,access_logs.s3.enabled=true,access_logs.s3.bucket=$logs,access_logs.s3.prefix=alb"
    fi
  } > "$folder/kustomization.yaml"
}

case $what in
  render)
    kustomization
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
    components=()
    # The answer is a word; the status is 1 for `no` as for a failure.
    may=$(kubectl auth can-i create namespaces 2>"$folder/said" || true)
    case $may in
      yes) ;;
      no)
        found=$(kubectl get namespace "$namespace" --ignore-not-found --output name) || exit 1
        [ -n "$found" ] || { echo "there is no namespace $namespace, and who applies this may make none: a cluster's administrator applies the manifests first, with this same command" >&2; exit 1; }
        echo "Namespace, Roles and their bindings are left as they are: a cluster's administrator applies those"
        components+=(administered)
        ;;
      *) cat "$folder/said" >&2; exit 1 ;;
    esac
    ! written retail-forecast-api || components+=(deployed)
    ! written retail-forecast-api-canary || components+=(tried-out)
    kustomization "${components[@]}"
    kubectl apply --server-side --field-manager=retail-forecast-manifests --kustomize "$folder"
    ;;
  *) echo "manifests.sh: \`$what\` is neither render nor apply" >&2; exit 2 ;;
esac
