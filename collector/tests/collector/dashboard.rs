//! The dashboard: its files, the live feed behind it, and the pages in a real Chromium.

mod accessible;
mod alerts;
mod feed;
mod pages;
mod private;
mod samples;
mod scene;
mod served;
mod sign_in;
mod speed;
