//! views: text in forms and strings, and what is masked in it
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::view::run);
