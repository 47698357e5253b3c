use proptest::prelude::*;

use super::*;

/// The numbers from 0, eight bytes each, so that a repetition shows; none after so many bytes.
struct Numbers {
    next: u64,
    left: usize,
}

impl Entropy for Numbers {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(NoEntropy)?;
        for number in bytes.chunks_mut(8) {
            number.copy_from_slice(&self.next.to_be_bytes()[..number.len()]);
            self.next += 1;
        }
        Ok(())
    }
}

#[test]
fn a_pool_that_cannot_be_filled_deals_nothing() {
    let mut pool = Pooled::new(Numbers { next: 1, left: 4096 });
    let mut bytes = [0; 4000];
    pool.fill(&mut bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(pool.fill(&mut [0; 100]), Err(NoEntropy));
    }
}

proptest! {
    #[test]
    fn a_pool_deals_every_byte_once(calls in proptest::collection::vec(1usize..700, 0..60)) {
        let mut pool = Pooled::new(Numbers { next: 1, left: usize::MAX });
        let mut seen = std::collections::HashSet::new();
        for numbers in calls {
            let mut bytes = vec![0; numbers * 8];
            pool.fill(&mut bytes).unwrap();
            for number in bytes.chunks(8) {
                prop_assert!(number != [0; 8] && seen.insert(number.to_vec()));
            }
        }
    }
}
