//! The memory of one instance. Nobody else sees it, so nothing in it ever conflicts.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use sentinel_core::{
    ToolMemory,
    guard::{SharedMemory, Stored},
};

/// What limits are counted in. The core bounds how many keys it uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalMemory(Rc<RefCell<Values>>);

/// Each with the number of its version.
type Values = HashMap<String, (Vec<u8>, u32)>;

impl SharedMemory for LocalMemory {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.try_borrow().ok()?.get(key).cloned()
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        let Ok(mut values) = self.0.try_borrow_mut() else { return Stored::Failed };
        let known = values.get(key).map(|(_, known)| *known);
        if known != version {
            return Stored::Conflict;
        }
        values.insert(key.to_owned(), (value.to_vec(), known.unwrap_or_default().wrapping_add(1)));
        Stored::Done
    }
}

/// What was seen of tools.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalTools(Rc<RefCell<HashMap<u16, Vec<u8>>>>);

impl ToolMemory for LocalTools {
    fn recall(&mut self, slot: u16) -> Option<Vec<u8>> {
        self.0.try_borrow().ok()?.get(&slot).cloned()
    }

    fn remember(&mut self, slot: u16, value: &[u8]) {
        if let Ok(mut tools) = self.0.try_borrow_mut() {
            tools.insert(slot, value.to_vec());
        }
    }
}
