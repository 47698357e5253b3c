//! `sqlx::migrate!` embeds the folder, but only Cargo can notice a new file in it.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
