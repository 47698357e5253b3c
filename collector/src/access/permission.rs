//! What can be allowed: one permission for each kind of thing that an endpoint or a command does.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Permission {
    /// Events go in.
    SendEvents,
    /// A share of a limit that proxies have in common.
    TakeLease,
    /// The bundle that a filter shall act on.
    PollBundle,
    /// A second opinion of the model.
    AskOpinion,
    /// Events, gaps, deployments and aggregates, without the traffic itself.
    ReadEvents,
    /// The traffic that an event is about, where it was kept.
    ReadContent,
    /// Checkpoints, tiles, and proofs of single events.
    ReadProofs,
    ReadMetrics,
    /// Many events in one file.
    Export,
    /// A new bundle, which nobody is given yet.
    PushBundle,
    /// Begin, promote and withdraw deployments.
    Deploy,
    /// Say that a verdict was right or wrong.
    Feedback,
    /// API keys, and who has which role.
    ManageKeys,
    /// Erase a person, or give out all that is kept about one.
    ManageSubjects,
    Backup,
    /// Who looked at what, and who changed what.
    ReadJournal,
    /// Change how the collector runs, such as what its log says.
    Operate,
    /// Take on alerts, silence them, and try who is told.
    ManageAlerts,
}

impl Permission {
    pub(crate) const ALL: [Self; 18] = [
        Self::SendEvents,
        Self::TakeLease,
        Self::PollBundle,
        Self::AskOpinion,
        Self::ReadEvents,
        Self::ReadContent,
        Self::ReadProofs,
        Self::ReadMetrics,
        Self::Export,
        Self::PushBundle,
        Self::Deploy,
        Self::Feedback,
        Self::ManageKeys,
        Self::ManageSubjects,
        Self::Backup,
        Self::ReadJournal,
        Self::Operate,
        Self::ManageAlerts,
    ];

    /// Stands in configurations and in the database: it never changes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SendEvents => "send_events",
            Self::TakeLease => "take_lease",
            Self::PollBundle => "poll_bundle",
            Self::AskOpinion => "ask_opinion",
            Self::ReadEvents => "read_events",
            Self::ReadContent => "read_content",
            Self::ReadProofs => "read_proofs",
            Self::ReadMetrics => "read_metrics",
            Self::Export => "export",
            Self::PushBundle => "push_bundle",
            Self::Deploy => "deploy",
            Self::Feedback => "feedback",
            Self::ManageKeys => "manage_keys",
            Self::ManageSubjects => "manage_subjects",
            Self::Backup => "backup",
            Self::ReadJournal => "read_journal",
            Self::Operate => "operate",
            Self::ManageAlerts => "manage_alerts",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Permissions(u32);

impl Permissions {
    pub(crate) const fn of(permissions: &[Permission]) -> Self {
        let mut bits = 0;
        let mut rest = permissions;
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u32;
            rest = others;
        }
        Self(bits)
    }

    pub(crate) const fn has(self, permission: Permission) -> bool {
        self.0 & 1 << permission as u32 != 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.has(*permission))
    }

    /// Names with commas between them; an unknown one is an error, so that a slip of the pen allows nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).try_fold(Self::default(), |set, name| {
            let permission = Permission::parse(name)
                .ok_or_else(|| format!("{name:?} is no permission, expected some of {}", Self(u32::MAX)))?;
            Ok(set.and(Self::of(&[permission])))
        })
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, permission) in self.iter().enumerate() {
            write!(f, "{}{permission}", if idx == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_a_bit_and_a_name_of_its_own() {
        for (idx, permission) in Permission::ALL.into_iter().enumerate() {
            assert_eq!(permission as usize, idx, "ALL is in the order of the enum");
            assert_eq!(Permission::parse(permission.name()), Some(permission));
            let only = Permissions::of(&[permission]);
            assert!(Permission::ALL.into_iter().all(|other| only.has(other) == (other == permission)));
        }
    }

    #[test]
    fn a_set_is_read_as_it_is_written_and_a_wrong_name_is_said() {
        let set = Permissions::of(&[Permission::Export, Permission::SendEvents]);
        assert_eq!(set.to_string(), "send_events,export");
        assert_eq!(Permissions::parse("export, send_events"), Ok(set));
        assert!(Permissions::parse("export,").unwrap_err().contains("\"\" is no permission"));
        assert!(Permissions::parse("Export").unwrap_err().contains("expected some of send_events,"));
    }
}
