//! The numbers of each VM: every VM counts its events from 1, so that one which is not there can be named.

use std::collections::BTreeMap;

use super::{MISSING_MAX, Missing, Ranges, Report, Suspect};

#[derive(Debug, Default)]
pub(super) struct Sequence(BTreeMap<String, Ranges>);

impl Sequence {
    pub(super) fn add(&mut self, vm: &str, seq: u64, entry: u64, report: &mut Report) {
        let numbers = match self.0.get_mut(vm) {
            Some(numbers) => numbers,
            None => self.0.entry(vm.to_owned()).or_default(),
        };
        if !numbers.insert(seq) {
            report.say(Suspect::Sequence, Some(entry), format!("vm {vm} has number {seq} a second time"));
        }
    }

    pub(super) fn finish(self, report: &mut Report) {
        for (vm, numbers) in self.0 {
            for (first, last) in numbers.gaps_from(1) {
                if report.missing.len() < MISSING_MAX {
                    report.missing.push(Missing { vm: vm.clone(), first, last });
                }
            }
        }
    }
}
