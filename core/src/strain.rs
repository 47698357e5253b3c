//! What a host has too little of at the moment, and what an exchange does without because of it. The host measures; what
//! follows is decided here.

/// Of one moment: a host says it anew before each part of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    pub memory: MemoryStrain,
    /// There is no room for one more event, and the operator wants no traffic without events.
    pub no_room_for_events: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryStrain {
    #[default]
    None,
    /// Work that can be left out is left out, and the receipt names what that was.
    Sheds,
    /// No body is kept that is not kept already.
    Refuses,
}

impl Strain {
    pub(crate) fn worst(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            no_room_for_events: self.no_room_for_events || other.no_room_for_events,
        }
    }

    pub const fn sheds(self) -> bool {
        !matches!(self.memory, MemoryStrain::None)
    }

    pub const fn refuses_bodies(self) -> bool {
        matches!(self.memory, MemoryStrain::Refuses)
    }

    /// For events.
    pub const fn words(self) -> Option<&'static str> {
        match self {
            Self { memory: MemoryStrain::Refuses, .. } => Some(REFUSES),
            Self { memory: MemoryStrain::Sheds, .. } => Some(SHEDS),
            Self { no_room_for_events: true, .. } => Some(NO_ROOM_FOR_EVENTS),
            Self { .. } => None,
        }
    }
}

pub(crate) const NO_ROOM_FOR_EVENTS: &str = "the buffer of events is full";
const SHEDS: &str =
    "memory is short: the second stage of the model, shadows and the memory of tools are left out";
const REFUSES: &str = "memory is short: no further bodies are held";
