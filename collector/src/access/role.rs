//! Roles, and the one table of what each may do. Documents print it; whether something is allowed is read from it.

use std::fmt;

use super::permission::{Permission, Permissions};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Viewer,
    Analyst,
    Approver,
    Admin,
    Auditor,
    /// Filters, not people.
    Ingest,
}

/// What each role may do. A role that reads as an extension of another repeats its line, so that a line stands for
/// itself when it is reviewed.
pub(crate) const TABLE: [(Role, &[Permission]); 6] = {
    use Permission::*;
    [
        (Role::Viewer, &[ReadEvents, ReadMetrics]),
        (Role::Analyst, &[ReadEvents, ReadMetrics, ReadContent, Feedback, ManageAlerts]),
        (Role::Approver, &[ReadEvents, ReadMetrics, ReadContent, Feedback, ManageAlerts, Deploy]),
        (
            Role::Admin,
            &[
                ReadEvents,
                ReadMetrics,
                ReadContent,
                ReadProofs,
                ReadJournal,
                Export,
                Feedback,
                ManageAlerts,
                PushBundle,
                Deploy,
                ManageKeys,
                ManageSubjects,
                Backup,
                Operate,
            ],
        ),
        (Role::Auditor, &[ReadEvents, ReadMetrics, ReadContent, ReadProofs, ReadJournal, Export]),
        (Role::Ingest, &[SendEvents, TakeLease, PollBundle, AskOpinion]),
    ]
};

impl Role {
    pub(crate) const ALL: [Self; 6] =
        [Self::Viewer, Self::Analyst, Self::Approver, Self::Admin, Self::Auditor, Self::Ingest];

    /// Stands in configurations, tokens and the database: it never changes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Approver => "approver",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Ingest => "ingest",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub(crate) fn permissions(self) -> Permissions {
        let listed = TABLE.iter().find(|(role, _)| *role == self);
        listed.map_or(Permissions::default(), |(_, permissions)| Permissions::of(permissions))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of roles. Together they allow what any of them allows.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Roles(u8);

impl Roles {
    pub(crate) const fn has(self, role: Role) -> bool {
        self.0 & 1 << role as u8 != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }

    pub(crate) fn permissions(self) -> Permissions {
        self.iter().map(Role::permissions).fold(Permissions::default(), Permissions::and)
    }

    /// Names with commas between them; at least one, and an unknown one is an error.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .map(|name| {
                Role::parse(name).ok_or_else(|| {
                    format!(
                        "{name:?} is no role, expected some of {}",
                        Role::ALL.into_iter().collect::<Self>()
                    )
                })
            })
            .collect()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |bits, role| bits | 1 << role as u8))
    }
}

impl From<Role> for Roles {
    fn from(role: Role) -> Self {
        Self::from_iter([role])
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, role) in self.iter().enumerate() {
            write!(f, "{}{role}", if idx == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as the documentation has it.
    fn markdown() -> String {
        let mut text = String::from("| permission |");
        Role::ALL.iter().for_each(|role| text.push_str(&format!(" {role} |")));
        text.push_str("\n|---|");
        Role::ALL.iter().for_each(|_| text.push_str("---|"));
        for permission in Permission::ALL {
            text.push_str(&format!("\n| `{permission}` |"));
            for role in Role::ALL {
                text.push_str(if role.permissions().has(permission) { " yes |" } else { " |" });
            }
        }
        text.push('\n');
        text
    }

    #[test]
    fn the_documented_table_is_the_table() {
        const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/access-table.md");
        let documented = std::fs::read_to_string(PATH).unwrap_or_default();
        assert!(documented.contains(&markdown()), "{PATH} should have:\n{}", markdown());
    }

    #[test]
    fn roles_build_on_each_other_where_they_are_said_to() {
        let includes = |more: Role, less: Role| {
            let more = more.permissions();
            less.permissions().iter().all(|permission| more.has(permission))
        };
        for (more, less) in [
            (Role::Analyst, Role::Viewer),
            (Role::Approver, Role::Analyst),
            (Role::Admin, Role::Approver),
            (Role::Admin, Role::Auditor),
            (Role::Auditor, Role::Viewer),
        ] {
            assert!(includes(more, less), "{more} lacks something of {less}");
            assert!(!includes(less, more), "{less} has all of {more}");
        }
    }

    #[test]
    fn an_auditor_changes_nothing_and_filters_share_nothing_with_people() {
        use Permission::*;
        let auditor = Role::Auditor.permissions();
        for changing in [
            SendEvents,
            TakeLease,
            PushBundle,
            Deploy,
            Feedback,
            ManageKeys,
            ManageSubjects,
            Backup,
            ManageAlerts,
        ] {
            assert!(!auditor.has(changing), "{changing}");
        }
        let people: Roles = Role::ALL.into_iter().filter(|role| *role != Role::Ingest).collect();
        let filters = Role::Ingest.permissions();
        assert!(Permission::ALL.into_iter().all(|each| people.permissions().has(each) != filters.has(each)));
        assert_eq!(people.permissions(), Role::Admin.permissions(), "an admin may do what any person may");
    }

    #[test]
    fn several_roles_allow_what_any_of_them_allows() {
        for bits in 0..64 {
            let roles = Roles(bits);
            for permission in Permission::ALL {
                let any = roles.iter().any(|role| role.permissions().has(permission));
                assert_eq!(roles.permissions().has(permission), any, "{roles} {permission}");
            }
            if !roles.is_empty() {
                assert_eq!(Roles::parse(&roles.to_string()), Ok(roles));
            }
        }
    }

    #[test]
    fn an_unknown_role_is_an_error_and_none_at_all_too() {
        assert!(Roles::parse("").unwrap_err().contains("\"\" is no role"));
        let reason = Roles::parse("viewer,root").unwrap_err();
        assert!(reason.contains("\"root\" is no role, expected some of viewer,analyst"), "{reason}");
    }
}
