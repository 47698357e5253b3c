//! What a wallet is asked to sign: a text in the form of Sign-In With Solana, which follows EIP-4361. Wallets know the form
//! and warn if the domain in it is not that of the page.
//!
//! The nonce carries the time and a code that only this collector can make (an HMAC over time, chance, domain and
//! address). So nothing is remembered of an open challenge: asking for many takes no memory and pushes nobody's out.
//!
//! Invariant: a nonce is good for one domain, one address and five minutes. That it is good once only is for
//! [`super::recent`] to see to.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::base58;
use super::rfc3339;
use super::wallet::{Address, WalletRefusal};

pub(crate) const LIFETIME_MS: i64 = 5 * 60_000;
/// Replicas that share a key may be this far apart.
pub(crate) const CLOCK_DIFFERENCE_MS: i64 = 60_000;
pub(crate) const RANDOM_BYTES: usize = 10;

/// The place where people sign in, as wallets show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    domain: String,
    uri: String,
    chain: String,
}

/// Makes nonces and knows them again.
pub(crate) struct Challenger {
    site: Site,
    code: Hmac<Sha256>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) nonce: String,
    /// To be signed byte for byte.
    pub(crate) text: String,
    pub(crate) expires_ms: i64,
}

impl Site {
    /// The domain with its port if it has one, as browsers show it, and an address on it.
    pub(crate) fn new(domain: &str, uri: &str, chain: &str) -> Result<Self, String> {
        let domain_sign =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
        if domain.is_empty() || domain.len() > 253 || !domain.bytes().all(domain_sign) {
            return Err(format!("{domain:?} is no domain in lower case, such as sentinel.example.org:8443"));
        }
        let (scheme, rest) = uri.split_once("://").ok_or("the address does not begin with https://")?;
        let path = rest.strip_prefix(domain).ok_or(format!("the address is not on {domain}"))?;
        if !path.is_empty() && !path.starts_with('/') {
            return Err(format!("the address is not on {domain}"));
        }
        if uri.len() > 512 || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "the address is longer than 512 bytes or has a sign that is not visible ASCII".to_owned()
            );
        }
        let own_machine = ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| {
            domain.strip_prefix(host).is_some_and(|port| port.is_empty() || port.starts_with(':'))
        });
        if scheme != "https" && !(scheme == "http" && own_machine) {
            return Err(
                "the address does not begin with https://, which only localhost may leave out".to_owned()
            );
        }
        if !CHAINS.contains(&chain) {
            return Err(format!("{chain:?} is no chain, expected one of {}", CHAINS.join(", ")));
        }
        Ok(Self { domain: domain.to_owned(), uri: uri.to_owned(), chain: chain.to_owned() })
    }

    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    fn text(&self, address: &Address, nonce: &str, issued_ms: i64) -> String {
        let Self { domain, uri, chain } = self;
        let issued = rfc3339::write(issued_ms);
        let expires = rfc3339::write(issued_ms.saturating_add(LIFETIME_MS));
        format!(
            "{domain} wants you to sign in with your Solana account:\n{address}\n\n{STATEMENT}\n\nURI: {uri}\n\
             Version: 1\nChain ID: {chain}\nNonce: {nonce}\nIssued At: {issued}\nExpiration Time: {expires}"
        )
    }
}

impl Challenger {
    /// The key is chance. If it outlives the process, what [`super::recent`] knows has to, too: otherwise a signature
    /// could be used again after a restart.
    pub(crate) fn new(site: Site, key: &[u8; 32]) -> Result<Self, String> {
        let code = Hmac::new_from_slice(key).map_err(|error| error.to_string())?;
        Ok(Self { site, code })
    }

    pub(crate) fn challenge(&self, address: &Address, random: [u8; RANDOM_BYTES], now_ms: i64) -> Challenge {
        let mut stamp = [0; STAMP_BYTES];
        // Six bytes of milliseconds last until the year 10889.
        let [_, _, time @ ..] = now_ms.clamp(0, TIME_MS_MAX).to_be_bytes();
        stamp.iter_mut().zip(time.into_iter().chain(random)).for_each(|(to, from)| *to = from);
        let mut nonce = [0; NONCE_BYTES];
        let code = self.coded(address, &stamp).finalize().into_bytes();
        nonce.iter_mut().zip(stamp.into_iter().chain(code)).for_each(|(to, from)| *to = from);
        let nonce = base58::encode(&nonce);
        let issued_ms = time_of(&stamp);
        let text = self.site.text(address, &nonce, issued_ms);
        Challenge { nonce, text, expires_ms: issued_ms.saturating_add(LIFETIME_MS) }
    }

    /// The challenge that was given out with this nonce, if it was for this address and is still open.
    pub(crate) fn reopen(
        &self,
        address: &Address,
        nonce: &str,
        now_ms: i64,
    ) -> Result<Challenge, WalletRefusal> {
        let bytes: [u8; NONCE_BYTES] = base58::decode(nonce).ok_or(WalletRefusal::Nonce)?;
        let (stamp, code) = bytes.split_first_chunk::<STAMP_BYTES>().ok_or(WalletRefusal::Nonce)?;
        if self.coded(address, stamp).verify_truncated_left(code).is_err() {
            return Err(WalletRefusal::Nonce);
        }
        let issued_ms = time_of(stamp);
        let expires_ms = issued_ms.saturating_add(LIFETIME_MS);
        if now_ms >= expires_ms || now_ms < issued_ms.saturating_sub(CLOCK_DIFFERENCE_MS) {
            return Err(WalletRefusal::Expired);
        }
        Ok(Challenge { nonce: nonce.to_owned(), text: self.site.text(address, nonce, issued_ms), expires_ms })
    }

    /// Each part has a known length or says its own, so that two inputs never give the same bytes.
    fn coded(&self, address: &Address, stamp: &[u8; STAMP_BYTES]) -> Hmac<Sha256> {
        let domain = self.site.domain.as_bytes();
        self.code
            .clone()
            .chain_update(b"sentinel sign-in nonce 1\n")
            .chain_update((domain.len() as u64).to_be_bytes())
            .chain_update(domain)
            .chain_update(address.as_bytes())
            .chain_update(stamp)
    }
}

fn time_of(stamp: &[u8; STAMP_BYTES]) -> i64 {
    stamp.iter().take(TIME_BYTES).fold(0, |ms, byte| ms << 8 | i64::from(*byte))
}

/// The key is left out.
impl fmt::Debug for Challenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenger").field("site", &self.site).finish_non_exhaustive()
    }
}

const STATEMENT: &str = "Sign in to Sentinel. This signature moves no funds and costs nothing.";
const CHAINS: [&str; 4] = ["mainnet", "testnet", "devnet", "localnet"];
const TIME_BYTES: usize = 6;
const TIME_MS_MAX: i64 = (1 << 48) - 1;
/// Time and chance.
const STAMP_BYTES: usize = TIME_BYTES + RANDOM_BYTES;
/// With 16 bytes of the code, which nobody guesses within five minutes.
const NONCE_BYTES: usize = 32;

#[cfg(test)]
mod tests;
