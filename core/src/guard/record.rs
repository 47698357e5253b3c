//! Numbers in records of a fixed size, little-endian. What is too short reads as zeros, so that a record of zeros, a
//! missing one and one of another program are all a fresh one.

#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else {
            self.0 = &[];
            return [0; N];
        };
        self.0 = rest;
        *field
    }

    pub(super) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    pub(super) fn u16s<const N: usize>(&mut self) -> [u16; N] {
        let (fields, rest) = self.0.split_at_checked(2 * N).unwrap_or_default();
        self.0 = rest;
        let mut numbers = [0; N];
        let (fields, _) = fields.as_chunks::<2>();
        numbers.iter_mut().zip(fields).for_each(|(number, field)| *number = u16::from_le_bytes(*field));
        numbers
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// Writes over a record, field by field; what does not fit is left out.
#[derive(Debug)]
pub(super) struct Writer<'a>(pub(super) &'a mut [u8]);

impl Writer<'_> {
    pub(super) fn put_u16s(&mut self, numbers: &[u16]) {
        let record = core::mem::take(&mut self.0);
        let Some((place, rest)) = record.split_at_mut_checked(2 * numbers.len()) else { return };
        let (places, _) = place.as_chunks_mut::<2>();
        places.iter_mut().zip(numbers).for_each(|(place, number)| *place = number.to_le_bytes());
        self.0 = rest;
    }

    pub(super) fn put(&mut self, field: &[u8]) {
        let record = core::mem::take(&mut self.0);
        let Some((place, rest)) = record.split_at_mut_checked(field.len()) else { return };
        place.copy_from_slice(field);
        self.0 = rest;
    }
}
