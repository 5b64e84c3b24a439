//! The resources that are served, as one table: discovery, routing and the store read it.

/// A resource type.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
    /// Has a `/status` subresource, so that writes to the object itself leave `status` alone.
    pub(crate) status: bool,
    /// Counts changes of its `spec` in `metadata.generation`.
    pub(crate) generation: bool,
}

impl Resource {
    /// `apps/v1`, or `v1` in the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployments.apps`, or `pods` in the core group.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `deployments.apps "name"`; without the name when there is none.
    pub(crate) fn quoted(&self, name: &str) -> String {
        if name.is_empty() {
            self.qualified()
        } else {
            format!("{} {name:?}", self.qualified())
        }
    }

    /// Subresources beside the object itself.
    pub(crate) fn subresources(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.status {
            names.push("status");
        }
        if *self == PODS {
            names.extend(["binding", "log"]);
        }
        names
    }
}

const fn resource(
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
) -> Resource {
    Resource {
        group,
        version: "v1",
        plural,
        singular,
        kind,
        short,
        namespaced: true,
        status: false,
        generation: false,
    }
}

/// What the controllers work on.
pub(crate) const NAMESPACES: Resource = Resource {
    namespaced: false,
    status: true,
    ..resource("", "namespaces", "namespace", "Namespace", &["ns"])
};
pub(crate) const PODS: Resource = Resource {
    status: true,
    generation: true,
    ..resource("", "pods", "pod", "Pod", &["po"])
};
pub(crate) const SERVICES: Resource = Resource {
    status: true,
    ..resource("", "services", "service", "Service", &["svc"])
};
pub(crate) const DEPLOYMENTS: Resource = Resource {
    status: true,
    generation: true,
    ..resource(
        "apps",
        "deployments",
        "deployment",
        "Deployment",
        &["deploy"],
    )
};
pub(crate) const REPLICA_SETS: Resource = Resource {
    status: true,
    generation: true,
    ..resource("apps", "replicasets", "replicaset", "ReplicaSet", &["rs"])
};

const RBAC: &str = "rbac.authorization.k8s.io";
pub(crate) const ROLES: Resource = resource(RBAC, "roles", "role", "Role", &[]);
pub(crate) const ROLE_BINDINGS: Resource =
    resource(RBAC, "rolebindings", "rolebinding", "RoleBinding", &[]);
pub(crate) const CLUSTER_ROLES: Resource = Resource {
    namespaced: false,
    ..resource(RBAC, "clusterroles", "clusterrole", "ClusterRole", &[])
};
pub(crate) const CLUSTER_ROLE_BINDINGS: Resource = Resource {
    namespaced: false,
    ..resource(
        RBAC,
        "clusterrolebindings",
        "clusterrolebinding",
        "ClusterRoleBinding",
        &[],
    )
};

/// Every resource. What nothing above works on is kept as it was sent.
pub(crate) const RESOURCES: &[Resource] = &[
    NAMESPACES,
    PODS,
    SERVICES,
    Resource {
        namespaced: false,
        status: true,
        ..resource("", "nodes", "node", "Node", &["no"])
    },
    resource("", "configmaps", "configmap", "ConfigMap", &["cm"]),
    resource("", "secrets", "secret", "Secret", &[]),
    resource(
        "",
        "serviceaccounts",
        "serviceaccount",
        "ServiceAccount",
        &["sa"],
    ),
    resource(
        "",
        "resourcequotas",
        "resourcequota",
        "ResourceQuota",
        &["quota"],
    ),
    resource("", "limitranges", "limitrange", "LimitRange", &["limits"]),
    DEPLOYMENTS,
    REPLICA_SETS,
    resource("coordination.k8s.io", "leases", "lease", "Lease", &[]),
    Resource {
        version: "v2",
        status: true,
        generation: true,
        ..resource(
            "autoscaling",
            "horizontalpodautoscalers",
            "horizontalpodautoscaler",
            "HorizontalPodAutoscaler",
            &["hpa"],
        )
    },
    Resource {
        status: true,
        generation: true,
        ..resource(
            "networking.k8s.io",
            "ingresses",
            "ingress",
            "Ingress",
            &["ing"],
        )
    },
    Resource {
        generation: true,
        ..resource(
            "networking.k8s.io",
            "networkpolicies",
            "networkpolicy",
            "NetworkPolicy",
            &["netpol"],
        )
    },
    Resource {
        status: true,
        generation: true,
        ..resource(
            "policy",
            "poddisruptionbudgets",
            "poddisruptionbudget",
            "PodDisruptionBudget",
            &["pdb"],
        )
    },
    ROLES,
    ROLE_BINDINGS,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
];

/// The resource of a group by its plural name.
pub(crate) fn find(group: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|resource| resource.group == group && resource.plural == plural)
}

/// Group names in table order, each once.
pub(crate) fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups = Vec::new();
    for resource in RESOURCES {
        let group = (resource.group, resource.version);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}
