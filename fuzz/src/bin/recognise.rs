//! recognisers of personal data and secrets
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::recognise::run);
