//! The part of a store that sums: for each hour and value, kept in the transaction that stores the events, so that an
//! answer is exact and costs the same whether there are a thousand events or a hundred million.

use super::Answer;
use crate::domain::{Compliance, Hours, Sum, SumsQuery};

pub(crate) trait Sums: Send + Sync {
    /// Sums above 0, by time, then value; within a bucket the sum of what is not among the top comes first.
    fn sums(&self, query: SumsQuery) -> Answer<'_, Vec<Sum>>;

    /// All of it as of one moment.
    fn compliance(&self, hours: Hours) -> Answer<'_, Compliance>;
}
