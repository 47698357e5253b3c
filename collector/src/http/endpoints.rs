//! Which endpoints there are, and what each asks of whoever comes: the one list. [`super::auth`] asks it about every
//! request, so an endpoint that is not in it, or asks for something else than it says, answers nobody.

use crate::access::permission::Permission;

/// One method of one resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    /// As the router has it.
    pub(crate) path: &'static str,
    pub(crate) needs: Needs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// A way of its own to show that one may.
    OwnProof,
    /// Whoever is let in.
    AnyRole,
    Allowed(Permission),
}

pub(crate) fn needs(method: &str, path: &str) -> Option<Needs> {
    // Who may get something may ask for its headers.
    let method = if method == "HEAD" { "GET" } else { method };
    let found = ENDPOINTS.iter().find(|endpoint| endpoint.method == method && endpoint.path == path);
    found.map(|endpoint| endpoint.needs)
}

/// As it stands in the list.
pub(crate) fn known(method: &str, path: &str) -> Option<(&'static str, &'static str)> {
    let method = if method == "HEAD" { "GET" } else { method };
    let found = ENDPOINTS.iter().find(|endpoint| endpoint.method == method && endpoint.path == path);
    found.map(|endpoint| (endpoint.method, endpoint.path))
}

const fn allowed(method: &'static str, path: &'static str, permission: Permission) -> Endpoint {
    Endpoint { method, path, needs: Needs::Allowed(permission) }
}

const fn open(method: &'static str, path: &'static str, needs: Needs) -> Endpoint {
    Endpoint { method, path, needs }
}

pub(crate) const ENDPOINTS: &[Endpoint] = {
    use Permission::*;
    &[
        allowed("POST", "/v1/events", SendEvents),
        allowed("GET", "/v1/events", ReadContent),
        allowed("GET", "/v1/events/{id}", ReadContent),
        allowed("GET", "/v1/events/{id}/proof", ReadProofs),
        allowed("GET", "/v1/live", ReadContent),
        allowed("GET", "/log/events/{*path}", Export),
        allowed("GET", "/log/{*path}", ReadProofs),
        allowed("GET", "/v1/journal", ReadJournal),
        allowed("GET", "/v1/aggregates", ReadEvents),
        allowed("GET", "/v1/overview", ReadEvents),
        allowed("GET", "/v1/compliance", ReadEvents),
        allowed("GET", "/v1/export", Export),
        allowed("GET", "/v1/anomalies", ReadEvents),
        allowed("GET", "/v1/forecast", ReadEvents),
        allowed("GET", "/v1/reports/weekly", ReadEvents),
        allowed("POST", "/v1/subjects/erase", ManageSubjects),
        allowed("POST", "/v1/second-opinion", AskOpinion),
        allowed("GET", "/v1/gaps", ReadEvents),
        allowed("GET", "/v1/bundle", PollBundle),
        allowed("POST", "/v1/leases", TakeLease),
        allowed("POST", "/v1/bundles", PushBundle),
        allowed("GET", "/v1/bundles", ReadEvents),
        allowed("GET", "/v1/bundles/{id}", ReadContent),
        allowed("POST", "/v1/deployments", Deploy),
        allowed("GET", "/v1/deployments", ReadEvents),
        allowed("POST", "/v1/deployments/current/{verb}", Deploy),
        allowed("POST", "/v1/feedback", Feedback),
        allowed("GET", "/v1/alerts", ReadEvents),
        allowed("GET", "/v1/alerts/rules", ReadEvents),
        allowed("GET", "/v1/alerts/deliveries", ReadEvents),
        allowed("POST", "/v1/alerts/test", ManageAlerts),
        allowed("GET", "/v1/alerts/{id}", ReadEvents),
        allowed("POST", "/v1/alerts/{id}/acknowledge", ManageAlerts),
        allowed("GET", "/v1/silences", ReadEvents),
        allowed("POST", "/v1/silences", ManageAlerts),
        allowed("DELETE", "/v1/silences/{id}", ManageAlerts),
        open("GET", "/openapi.json", Needs::Nothing),
        open("GET", "/health", Needs::Nothing),
        open("GET", "/health/live", Needs::Nothing),
        open("GET", "/health/ready", Needs::Nothing),
        allowed("GET", "/health/detailed", ReadMetrics),
        allowed("GET", "/health/db", ReadMetrics),
        allowed("GET", "/health/system", ReadMetrics),
        allowed("GET", "/health/quality-gates", ReadMetrics),
        allowed("GET", "/health/security", ReadMetrics),
        allowed("GET", "/health/scaling", ReadMetrics),
        allowed("GET", "/health/research", ReadMetrics),
        allowed("GET", "/v1/log-level", Operate),
        allowed("PUT", "/v1/log-level", Operate),
        allowed("GET", "/metrics", ReadMetrics),
        // Of `people`.
        allowed("GET", "/v1/keys", ManageKeys),
        allowed("POST", "/v1/keys", ManageKeys),
        allowed("POST", "/v1/keys/{id}/rotate", ManageKeys),
        allowed("POST", "/v1/keys/{id}/revoke", ManageKeys),
        allowed("GET", "/v1/wallets", ManageKeys),
        allowed("GET", "/v1/wallets/{address}", ManageKeys),
        allowed("PUT", "/v1/wallets/{address}", ManageKeys),
        allowed("DELETE", "/v1/wallets/{address}", ManageKeys),
        allowed("GET", "/v1/claims", ManageKeys),
        allowed("GET", "/v1/claims/{value}", ManageKeys),
        allowed("PUT", "/v1/claims/{value}", ManageKeys),
        allowed("DELETE", "/v1/claims/{value}", ManageKeys),
        open("GET", "/v1/whoami", Needs::AnyRole),
        open("POST", "/v1/auth/wallet/challenge", Needs::Nothing),
        open("POST", "/v1/auth/wallet/session", Needs::OwnProof),
        open("POST", "/v1/bootstrap", Needs::OwnProof),
        // The dashboard, which shows nothing by itself.
        open("GET", "/", Needs::Nothing),
        open("GET", "/assets/{version}/{*path}", Needs::Nothing),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::role::Role;

    /// The table as the documentation has it.
    fn markdown() -> String {
        let mut text = "| endpoint | permission | roles |\n|---|---|---|\n".to_owned();
        for Endpoint { method, path, needs } in ENDPOINTS {
            let (permission, roles) = match needs {
                Needs::Nothing => (String::new(), "anyone".to_owned()),
                Needs::OwnProof => (String::new(), "whoever has the proof that is sent".to_owned()),
                Needs::AnyRole => (String::new(), "all".to_owned()),
                Needs::Allowed(permission) => {
                    let with = Role::ALL.into_iter().filter(|role| role.permissions().has(*permission));
                    let roles: Vec<&str> = with.map(Role::name).collect();
                    (format!("`{permission}`"), roles.join(", "))
                }
            };
            text.push_str(
                &format!("| `{method} {path}` | {permission} | {roles} |\n").replace("|  |", "| |"),
            );
        }
        text
    }

    #[test]
    fn the_documented_endpoints_are_those_of_the_list() {
        const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/access.md");
        let documented = std::fs::read_to_string(PATH).unwrap();
        assert!(documented.contains(&markdown()), "{PATH} should have:\n{}", markdown());
    }

    #[test]
    fn an_endpoint_stands_once_in_the_list() {
        for (idx, endpoint) in ENDPOINTS.iter().enumerate() {
            let same = |other: &&Endpoint| other.method == endpoint.method && other.path == endpoint.path;
            assert_eq!(ENDPOINTS.iter().position(|other| same(&other)), Some(idx), "{endpoint:?}");
        }
        assert_eq!(needs("HEAD", "/v1/gaps"), needs("GET", "/v1/gaps"));
        assert_eq!((needs("PUT", "/v1/gaps"), needs("GET", "/v1/nothing")), (None, None));
    }
}
