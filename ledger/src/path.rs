//! Where a log serves its tiles: `tile/<level>/<index>[.p/<width>]` and `tile/entries/<index>[.p/<width>]`, the index in
//! groups of three digits, all but the last after an `x`, so that it makes a path without file and folder of one name.

use alloc::string::ToString;
use core::{fmt, str::FromStr};

use thiserror::Error;

use crate::{
    decimal,
    tile::{LEVEL_MAX, TILE_WIDTH, TileId},
};

const PREFIX: &str = "tile/";
const ENTRIES: &str = "entries";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TilePath {
    Hashes(TileId),
    /// The entries whose hashes are in the tile of level 0.
    Entries(TileId),
}

/// Why a text is no path of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    #[error("it does not begin with \"tile/\"")]
    Prefix,
    #[error("after \"tile/\" stands neither \"entries/\" nor a level from 0 to 63")]
    Level,
    #[error("the index is not written as x001/x234/567, or exceeds 64 bits")]
    Index,
    #[error("after \".p/\" stands no width from 1 to 255")]
    Width,
}

impl TilePath {
    /// Entries `256 * index` and following, `width` of them.
    pub const fn entries(index: u64, width: u16) -> Option<Self> {
        match TileId::new(0, index, width) {
            Some(id) => Some(Self::Entries(id)),
            None => None,
        }
    }

    pub const fn id(&self) -> TileId {
        match self {
            Self::Hashes(id) | Self::Entries(id) => *id,
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        match self {
            Self::Hashes(id) => write!(f, "{}/", id.level())?,
            Self::Entries(_) => write!(f, "{ENTRIES}/")?,
        }
        let id = self.id();
        let n_groups = id.index().checked_ilog(1000).unwrap_or(0);
        for group in (0..=n_groups).rev() {
            let digits = id.index() / 1000u64.pow(group) % 1000;
            let sign = if group == 0 { "" } else { "x" };
            let end = if group == 0 { "" } else { "/" };
            write!(f, "{sign}{digits:03}{end}")?;
        }
        if id.is_full() { Ok(()) } else { write!(f, ".p/{}", id.width()) }
    }
}

impl FromStr for TilePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let (level, rest) =
            text.strip_prefix(PREFIX).ok_or(PathError::Prefix)?.split_once('/').ok_or(PathError::Level)?;
        let is_entries = level == ENTRIES;
        let level = if is_entries { Some(0) } else { decimal::parse(level) };
        let level = level.and_then(|level| u8::try_from(level).ok()).filter(|level| *level <= LEVEL_MAX);
        let level = level.ok_or(PathError::Level)?;
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((index, width)) => {
                let width = decimal::parse(width).and_then(|width| u16::try_from(width).ok());
                (index, width.filter(|width| *width < TILE_WIDTH).ok_or(PathError::Width)?)
            }
        };
        let index = parse_index(index).ok_or(PathError::Index)?;
        let id = TileId::new(level, index, width).ok_or(PathError::Width)?;
        let path = if is_entries { Self::Entries(id) } else { Self::Hashes(id) };
        // There is one text for each index: a group of zeros in front would be another.
        if path.to_string() == text { Ok(path) } else { Err(PathError::Index) }
    }
}

fn parse_index(text: &str) -> Option<u64> {
    let (groups, last) = text.rsplit_once('/').map_or((None, text), |(groups, last)| (Some(groups), last));
    let groups = groups.into_iter().flat_map(|groups| groups.split('/')).map(|group| group.strip_prefix('x'));
    groups.chain([Some(last)]).try_fold(0u64, |index, group| {
        let group =
            group.filter(|group| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit()))?;
        index.checked_mul(1000)?.checked_add(group.parse().ok()?)
    })
}
