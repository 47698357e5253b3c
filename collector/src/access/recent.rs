//! Challenges that were answered, so that each is answered once.
//!
//! Only who holds the key of an address with a role gets in here, so the table stays small by itself; when somebody fills
//! it nevertheless, new sign-ins are refused, and nothing is forgotten early. Memory is bounded by [`ENTRIES_MAX`].

use std::collections::BTreeSet;

use super::challenge::CLOCK_DIFFERENCE_MS;
use super::wallet::{Proven, WalletRefusal};

pub(crate) const ENTRIES_MAX: usize = 4_096;
/// So many sign-ins of one address within five minutes are a program gone wrong.
pub(crate) const PER_ADDRESS_MAX: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// Address and nonce, for counting those of an address.
    by_address: BTreeSet<([u8; 32], String)>,
    /// The same, by when they may be forgotten.
    by_end: BTreeSet<(i64, [u8; 32], String)>,
}

impl Recent {
    pub(crate) fn use_up(&mut self, proven: &Proven, now_ms: i64) -> Result<(), WalletRefusal> {
        self.forget_until(now_ms);
        let address = *proven.address.as_bytes();
        if self.by_address.contains(&(address, proven.nonce.clone())) {
            return Err(WalletRefusal::Used);
        }
        let of_address = self.by_address.range((address, String::new())..);
        let n_of_address = of_address.take_while(|(other, _)| *other == address).count();
        if n_of_address >= PER_ADDRESS_MAX || self.by_end.len() >= ENTRIES_MAX {
            return Err(WalletRefusal::Busy);
        }
        // Beyond its end by as much as a clock may go back.
        let end_ms = proven.expires_ms.saturating_add(CLOCK_DIFFERENCE_MS);
        self.by_address.insert((address, proven.nonce.clone()));
        self.by_end.insert((end_ms, address, proven.nonce.clone()));
        Ok(())
    }

    fn forget_until(&mut self, now_ms: i64) {
        while let Some((end_ms, address, nonce)) = self.by_end.pop_first() {
            if end_ms > now_ms {
                self.by_end.insert((end_ms, address, nonce));
                return;
            }
            self.by_address.remove(&(address, nonce));
        }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::access::challenge::LIFETIME_MS;
    use crate::access::role::Roles;
    use crate::access::wallet::Address;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn proven(seed: u16, nonce: usize, now_ms: i64) -> Proven {
        let mut secret = [0; 32];
        secret[..2].copy_from_slice(&seed.to_be_bytes());
        let key = SigningKey::from_bytes(&secret).verifying_key();
        Proven {
            address: Address::from_bytes(key.as_bytes()).unwrap(),
            roles: Roles::default(),
            nonce: format!("nonce{nonce}"),
            expires_ms: now_ms + LIFETIME_MS,
        }
    }

    #[test]
    fn a_nonce_is_used_once_until_it_is_forgotten_long_after_its_end() {
        let mut recent = Recent::default();
        let one = proven(1, 1, NOW_MS);
        assert_eq!(recent.use_up(&one, NOW_MS), Ok(()));
        let end_ms = NOW_MS + LIFETIME_MS + CLOCK_DIFFERENCE_MS;
        for now_ms in [NOW_MS, NOW_MS + 1, NOW_MS - 1_000, NOW_MS + LIFETIME_MS, end_ms - 1] {
            assert_eq!(recent.use_up(&one, now_ms), Err(WalletRefusal::Used), "{now_ms}");
        }
        recent.forget_until(end_ms);
        assert!(recent.by_address.is_empty() && recent.by_end.is_empty());
    }

    #[test]
    fn an_address_takes_its_own_room_only() {
        let mut recent = Recent::default();
        for nonce in 0..PER_ADDRESS_MAX {
            assert_eq!(recent.use_up(&proven(1, nonce, NOW_MS), NOW_MS), Ok(()));
        }
        assert_eq!(recent.use_up(&proven(1, 99, NOW_MS), NOW_MS), Err(WalletRefusal::Busy));
        assert_eq!(recent.use_up(&proven(2, 99, NOW_MS), NOW_MS), Ok(()));
        let later_ms = NOW_MS + LIFETIME_MS + CLOCK_DIFFERENCE_MS;
        assert_eq!(recent.use_up(&proven(1, 99, later_ms), later_ms), Ok(()));
    }

    #[test]
    fn a_full_table_refuses_and_forgets_nothing() {
        let mut recent = Recent::default();
        let addresses = (ENTRIES_MAX / PER_ADDRESS_MAX) as u16;
        for address in 0..addresses {
            for nonce in 0..PER_ADDRESS_MAX {
                assert_eq!(recent.use_up(&proven(address, nonce, NOW_MS), NOW_MS), Ok(()));
            }
        }
        assert_eq!(recent.use_up(&proven(addresses, 0, NOW_MS), NOW_MS), Err(WalletRefusal::Busy));
        assert_eq!(recent.use_up(&proven(0, 0, NOW_MS), NOW_MS), Err(WalletRefusal::Used));
        assert_eq!(recent.by_end.len(), ENTRIES_MAX);
    }
}
