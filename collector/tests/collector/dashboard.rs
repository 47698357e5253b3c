//! The dashboard: its files, the live feed behind it, and the pages in a real Chromium.

mod accessible;
mod feed;
mod pages;
mod samples;
mod scene;
mod served;
mod speed;
